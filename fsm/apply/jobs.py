"""Registering, stopping, purging and reverting jobs (spec job-model §6.1, jobs-api §3.2, §3.5, §3.11)."""

from __future__ import annotations

from yurt.fsm.apply.children import note_launch
from yurt.fsm.apply.evaluations import new_evaluation
from yurt.fsm.apply.life import ensure_summary, refresh_status, store_job
from yurt.fsm.apply.purge import delete_job
from yurt.fsm.apply.submissions import store_submission
from yurt.fsm.apply.versions import drop_old_version, find_tagged
from yurt.fsm.commands import DeregisterFamily, DeregisterJob, JobWritten, RegisterJob, RevertJob
from yurt.fsm.errors import Refusal
from yurt.fsm.job.equal import same_specification
from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.policies import keep_policy
from yurt.fsm.job.rules import check_index, check_update
from yurt.fsm.lang.ids import seeded_id
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, JOB_VERSIONS, JOBS, NAMESPACES, PERIODIC_LAUNCHES
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import DesiredTransition
from yurt.fsm.structs.author import authored
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import DEAD, Job


def register(txn: Transaction, command: RegisterJob) -> JobWritten:
    """Handle `RegisterJob`."""
    job = command.job
    stored = txn.get(JOBS, (job.namespace, job.id))
    if txn.get(NAMESPACES, job.namespace) is None:
        raise Refusal(500, multierror([f'job "{job.id}" is in nonexistent namespace "{job.namespace}"']))
    if command.enforce_index:
        check_index(stored, command.job_modify_index)
    if stored is not None:
        check_update(stored, job)
        if command.preserve_counts or command.preserve_resources:
            job = _preserve(stored, job, counts=command.preserve_counts, resources=command.preserve_resources)
    return store_specification(txn, command, job, stored, triggered_by="job-register")


def store_specification(
    txn: Transaction, command: RegisterJob, job: Job, stored: Job | None, *, triggered_by: str
) -> JobWritten:
    """Make `job` the newest version, unless it says what is stored; evaluate it unless it is a parent."""
    payload_version = job.version
    job = _with_policy_ids(txn, job, stored, command.scaling_policy_ids)
    if stored is not None and same_specification(stored, job):
        if stored.is_parent:
            return JobWritten(job_modify_index=stored.modify_index, index=stored.modify_index)
        return _evaluated(txn, stored, command, triggered_by, stored.modify_index)
    version = payload_version
    if stored is not None and payload_version <= stored.version:
        version = stored.version + 1
    job = replace(
        job,
        version=version,
        stable=False,
        status=stored.status if stored else "",
        status_description="",
        submit_time=command.now_ns,
        submitted_by=authored(command.by),
        create_index=stored.create_index if stored else txn.index,
        modify_index=txn.index,
        job_modify_index=txn.index,
    )
    ensure_summary(txn, job)
    store_submission(txn, job, command.submission, payload_version, stored)
    if job.periodic is not None and not job.is_parameterized:
        _track_launch(txn, job, stored, command.now_ns)
    if command.eval_id and not job.is_parent:
        _evaluation(txn, job, command, triggered_by)
    store_job(txn, job, old_status=stored.status if stored else "")
    drop_old_version(txn, job.namespace, job.id, command.versions_kept)
    if job.is_parent or not command.eval_id:
        return JobWritten(job_modify_index=txn.index, index=txn.index)
    return JobWritten(job_modify_index=txn.index, eval_id=command.eval_id, eval_create_index=txn.index, index=txn.index)


def _evaluation(txn: Transaction, job: Job, command: RegisterJob, triggered_by: str) -> None:
    new_evaluation(
        txn,
        job,
        command.eval_id,
        triggered_by=triggered_by,
        now_ns=command.now_ns,
        priority=command.eval_priority,
    )


def _evaluated(
    txn: Transaction, job: Job, command: RegisterJob, triggered_by: str, job_modify_index: int
) -> JobWritten:
    """Nothing but an evaluation."""
    _evaluation(txn, job, command, triggered_by)
    refresh_status(txn, job.namespace, job.id)
    return JobWritten(
        job_modify_index=job_modify_index, eval_id=command.eval_id, eval_create_index=txn.index, index=txn.index
    )


def _with_policy_ids(txn: Transaction, job: Job, stored: Job | None, fresh: tuple[str, ...]) -> Job:
    """Policies keep the ID and indexes they have in the stored job while they say the same; others are new."""
    groups: list[TaskGroup] = []
    for position, group in enumerate(job.task_groups or ()):
        policy = group.scaling
        if policy is not None:
            old_group = stored.group(group.name) if stored else None
            old = old_group.scaling if old_group else None
            if old is None:
                new_id = fresh[position] if position < len(fresh) else ""
                policy = replace(policy, id=new_id, create_index=txn.index, modify_index=txn.index)
            else:
                policy = keep_policy(policy, old)
                if policy != old:
                    policy = replace(policy, modify_index=txn.index)
            group = replace(group, scaling=policy)
        groups.append(group)
    if not any(group.scaling for group in groups):
        return job
    changed: Job = replace(job, task_groups=tuple(groups))
    return changed


def _preserve(stored: Job, job: Job, *, counts: bool, resources: bool) -> Job:
    """Groups (and tasks) of the same name keep what they have."""
    groups = []
    for group in job.task_groups or ():
        old = stored.group(group.name)
        if old is not None and counts:
            group = replace(group, count=old.count)
        if old is not None and resources:
            kept = {task.name: task.resources for task in old.tasks or ()}
            tasks = tuple(
                replace(task, resources=kept[task.name]) if task.name in kept else task for task in group.tasks or ()
            )
            group = replace(group, tasks=tasks or None)
        groups.append(group)
    preserved: Job = replace(job, task_groups=tuple(groups))
    return preserved


def _track_launch(txn: Transaction, job: Job, stored: Job | None, now_ns: int) -> None:
    """A periodic job's launches count from the registration of its block: no earlier one was missed."""
    row = txn.get(PERIODIC_LAUNCHES, (job.namespace, job.id))
    if row is not None and stored is not None and stored.periodic == job.periodic and stored.stop == job.stop:
        return
    note_launch(txn, job, now_ns)


def deregister(txn: Transaction, command: DeregisterJob) -> JobWritten:
    """Handle `DeregisterJob`; an unknown job is answered with zeros."""
    stored = txn.get(JOBS, (command.namespace, command.job_id))
    if stored is None:
        return JobWritten(job_modify_index=0)
    if command.no_shutdown_delay:
        _skip_shutdown_delay(txn, stored)
    job = stored if command.purge else _stopped(txn, stored, command)
    if command.purge:
        delete_job(txn, stored, command.now_ns)
    eval_id = "" if stored.is_parent else command.eval_id
    if eval_id:
        new_evaluation(
            txn,
            stored,
            eval_id,
            triggered_by="job-deregister",
            now_ns=command.now_ns,
            priority=command.eval_priority,
            type="service",
        )
    if not command.purge:
        store_job(txn, job, old_status=stored.status)
        drop_old_version(txn, job.namespace, job.id, command.versions_kept)
    return JobWritten(job_modify_index=txn.index, eval_id=eval_id, eval_create_index=txn.index, index=txn.index)


def deregister_family(txn: Transaction, command: DeregisterFamily) -> JobWritten:
    """Handle `DeregisterFamily`: children that have ended already only go if they are purged."""
    result = deregister(txn, command)
    parents = [command.job_id]
    while parents:
        for child in txn.find(JOBS, "parent", (command.namespace, parents.pop())):
            if command.purge or not (child.stop or child.status == DEAD):
                one = replace(command, job_id=child.id, eval_id=seeded_id(command.eval_id, child.id))
                deregister(txn, one)
            if child.is_parent:
                parents.append(child.id)
    return result


def _stopped(txn: Transaction, stored: Job, command: DeregisterJob) -> Job:
    """The next version, stopped and with its scaling policies disabled."""
    groups = tuple(
        replace(group, scaling=replace(group.scaling, enabled=False)) if group.scaling else group
        for group in stored.task_groups or ()
    )
    txn.delete(PERIODIC_LAUNCHES, (stored.namespace, stored.id))
    stopped: Job = replace(
        stored,
        stop=True,
        task_groups=groups or None,
        version=stored.version + 1,
        version_tag=None,
        submit_time=command.now_ns,
        submitted_by=authored(command.by),
        modify_index=txn.index,
        job_modify_index=txn.index,
    )
    return stopped


def _skip_shutdown_delay(txn: Transaction, job: Job) -> None:
    for allocation in txn.find(ALLOCATIONS, "live", (job.namespace, job.id)):
        wanted = replace(allocation.desired_transition or DesiredTransition(), no_shutdown_delay=True)
        txn.put(ALLOCATIONS, replace(allocation, desired_transition=wanted, modify_index=txn.index))


def reverted(reader: Reader, command: RevertJob) -> tuple[Job, Job]:
    """The job as it will be after `RevertJob`, and as it is; raises Refusal(500).

    The older version's content, neither stopped, stable nor tagged.
    """
    stored = reader.get(JOBS, (command.namespace, command.job_id))
    if stored is None:
        raise Refusal(500, f'job "{command.job_id}" not found')
    number = command.version
    if command.tag:
        number = find_tagged(reader, command.namespace, command.job_id, command.tag).version
    if number == stored.version:
        raise Refusal(500, "can't revert to current version")
    old = reader.get(JOB_VERSIONS, (command.namespace, command.job_id, number))
    if old is None:
        where = f'job "{command.job_id}" in namespace "{command.namespace}" at version {number}'
        raise Refusal(500, f"{where} not found")
    prior = command.enforce_prior_version
    if prior is not None and prior != stored.version:
        raise Refusal(500, f"Current job has version {stored.version}; enforcing version {prior}")
    return replace(old, stop=False, stable=False, version_tag=None), stored


def revert(txn: Transaction, command: RevertJob) -> JobWritten:
    """Handle `RevertJob`: the older version's content is registered again."""
    job, stored = reverted(txn, command)
    again = RegisterJob(
        now_ns=command.now_ns,
        job=job,
        eval_id=command.eval_id,
        versions_kept=command.versions_kept,
        by=command.by,
    )
    return store_specification(txn, again, job, stored, triggered_by="job-register")
