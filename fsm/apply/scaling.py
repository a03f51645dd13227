"""Scaling: a group's count and the events of it, in one command (spec jobs-api §3.16, deviation 13)."""

from __future__ import annotations

from yurt.fsm.apply.evaluations import new_evaluation
from yurt.fsm.apply.life import store_job
from yurt.fsm.apply.versions import drop_old_version
from yurt.fsm.commands import JobWritten, ScaleJob
from yurt.fsm.errors import Refusal
from yurt.fsm.job.rules import check_index, check_scale
from yurt.fsm.store.schema import DEPLOYMENTS, JOBS, SCALING_EVENTS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.author import authored
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.scaling import JobScalingEvents, ScalingEvent

EVENTS_KEPT = 20


def scale(txn: Transaction, command: ScaleJob) -> JobWritten:
    """Handle `ScaleJob`."""
    stored = txn.get(JOBS, (command.namespace, command.job_id))
    job = check_scale(stored, command.job_id, command.group, command.count, command.count_max)
    if command.count is not None and txn.has(DEPLOYMENTS, "active", (job.namespace, job.id)):
        raise Refusal(400, "job scaling blocked due to active deployment")
    if command.job_modify_index:
        check_index(job, command.job_modify_index)
    group = job.group(command.group)
    assert group is not None, "checked above"
    eval_id = command.eval_id if command.count is not None and not job.is_parent else ""
    event = ScalingEvent(
        time=command.now_ns,
        count=command.count,
        previous_count=group.count,
        message=command.message,
        error=command.error,
        meta=command.meta,
        eval_id=eval_id or None,
        create_index=txn.index,
        by=authored(command.by),
    )
    if command.count is not None:
        _set_count(txn, job, command, eval_id)
    _note(txn, job, command.group, event)
    if command.count is None:
        return JobWritten(job_modify_index=job.modify_index, index=txn.index)
    return JobWritten(
        job_modify_index=txn.index,
        eval_id=eval_id,
        eval_create_index=txn.index if eval_id else 0,
        index=txn.index,
    )


def _set_count(txn: Transaction, job: Job, command: ScaleJob, eval_id: str) -> None:
    groups = tuple(
        replace(group, count=command.count) if group.name == command.group else group for group in job.task_groups or ()
    )
    scaled: Job = replace(
        job,
        task_groups=groups,
        version=job.version + 1,
        version_tag=None,
        submit_time=command.now_ns,
        submitted_by=authored(command.by),
        modify_index=txn.index,
        job_modify_index=txn.index,
    )
    if eval_id:
        new_evaluation(txn, scaled, eval_id, triggered_by="job-scaling", now_ns=command.now_ns)
    store_job(txn, scaled, old_status=job.status)
    drop_old_version(txn, job.namespace, job.id, command.versions_kept)


def _note(txn: Transaction, job: Job, group: str, event: ScalingEvent) -> None:
    stored = txn.get(SCALING_EVENTS, (job.namespace, job.id))
    events = dict(stored.scaling_events) if stored else {}
    events[group] = (event, *events.get(group, ()))[:EVENTS_KEPT]
    row = JobScalingEvents(namespace=job.namespace, job_id=job.id, scaling_events=events, modify_index=txn.index)
    txn.put(SCALING_EVENTS, row)
