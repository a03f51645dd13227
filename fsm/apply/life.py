"""The consequences of every change of a job: status, summary, its parent's counts (spec job-model §6.4, §6.5)."""

from __future__ import annotations

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOB_SUMMARIES, JOB_VERSIONS, JOBS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import DEAD, PENDING, RUNNING, SYSTEM, Job, JobChildrenSummary, JobSummary, TaskGroupSummary


def status_of(reader: Reader, job: Job, *, evaluation_deleted: bool = False) -> str:
    """The status that follows from a job and its evaluations, allocations and deployments."""
    if job.type == SYSTEM or job.is_parent:
        return DEAD if job.stop else RUNNING
    key = (job.namespace, job.id)
    if reader.has(DEPLOYMENTS, "active", key) or reader.has(ALLOCATIONS, "live", key):
        return RUNNING
    if reader.has(EVALUATIONS, "live", key):
        return PENDING
    if job.stop or evaluation_deleted or reader.has(EVALUATIONS, "job", key):
        return DEAD
    return PENDING


def store_job(txn: Transaction, job: Job, *, old_status: str) -> Job:
    """Store the current record and its version row with the status that follows; count it at its parent."""
    status = status_of(txn, job)
    if status != job.status:
        job = replace(job, status=status)
    txn.put(JOBS, job)
    txn.put(JOB_VERSIONS, job)
    count_child(txn, job, old_status, status)
    return job


def refresh_status(txn: Transaction, namespace: str, job_id: str, *, evaluation_deleted: bool = False) -> None:
    """Recompute a job's status; a change moves ModifyIndex of the record and of its version."""
    job = txn.get(JOBS, (namespace, job_id))
    if job is None:
        return
    status = status_of(txn, job, evaluation_deleted=evaluation_deleted)
    if status == job.status:
        return
    changed: Job = replace(job, status=status, modify_index=txn.index)
    txn.put(JOBS, changed)
    txn.put(JOB_VERSIONS, changed)
    count_child(txn, changed, job.status, status)


def count_child(txn: Transaction, job: Job, old: str, new: str) -> None:
    """Move a child from one bin of its parent's summary to another (`old` empty: it is new)."""
    if not job.parent_id or old == new:
        return
    summary = txn.get(JOB_SUMMARIES, (job.namespace, job.parent_id))
    if summary is None:
        return
    bins = {name: getattr(summary.children, name) for name in JobChildrenSummary.__struct_fields__}
    if old:
        bins[old] = max(0, bins[old] - 1)
    bins[new] += 1
    txn.put(JOB_SUMMARIES, replace(summary, children=JobChildrenSummary(**bins), modify_index=txn.index))


def ensure_summary(txn: Transaction, job: Job) -> None:
    """The job has a summary with all of its groups; groups of the past stay in it."""
    names = [group.name for group in job.task_groups or ()]
    stored = txn.get(JOB_SUMMARIES, (job.namespace, job.id))
    if stored is None:
        groups = {name: TaskGroupSummary() for name in names}
        fresh = JobSummary(
            job_id=job.id,
            namespace=job.namespace,
            summary=groups,
            create_index=txn.index,
            modify_index=txn.index,
        )
        txn.put(JOB_SUMMARIES, fresh)
    elif missing := [name for name in names if name not in stored.summary]:
        groups = {**stored.summary, **{name: TaskGroupSummary() for name in missing}}
        txn.put(JOB_SUMMARIES, replace(stored, summary=groups, modify_index=txn.index))


def set_queued(txn: Transaction, namespace: str, job_id: str, queued: dict[str, int] | None) -> None:
    """Take an evaluation's queued numbers into the summary; its ModifyIndex moves only if one changed."""
    if not queued:
        return
    stored = txn.get(JOB_SUMMARIES, (namespace, job_id))
    if stored is None:
        return
    groups = dict(stored.summary)
    for name, number in queued.items():
        if name in groups and groups[name].queued != number:
            groups[name] = replace(groups[name], queued=number)
    if groups != stored.summary:
        txn.put(JOB_SUMMARIES, replace(stored, summary=groups, modify_index=txn.index))
