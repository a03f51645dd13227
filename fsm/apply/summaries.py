"""Summaries of jobs, counted anew from allocations and children (spec job-model §6.5)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator

from yurt.fsm.commands import Done, ReconcileSummaries
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, JOB_SUMMARIES, JOBS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import DEAD, PENDING, RUNNING, JobChildrenSummary, JobSummary, TaskGroupSummary

_BINS = {"pending": "starting", "running": "running", "complete": "complete", "failed": "failed", "lost": "lost"}


def counting(reader: Reader, summary: JobSummary) -> Generator[None, None, JobSummary]:
    """Return the summary with the counts of now, everything else of it as it was; one row a step."""
    key = (summary.namespace, summary.job_id)
    placed: dict[str, Counter[str]] = {name: Counter() for name in summary.summary}
    for allocation in reader.each(ALLOCATIONS, "job", key):
        yield
        if allocation is not None and allocation.task_group in placed:
            placed[allocation.task_group][_BINS.get(allocation.client_status, "unknown")] += 1
    children: Counter[str] = Counter()
    for job in reader.each(JOBS, "parent", key):
        yield
        if job is not None:
            children[job.status] += 1
    before = summary.children
    gone = max(0, before.pending + before.running + before.dead - children.total())
    counted: JobSummary = replace(
        summary,
        summary={name: TaskGroupSummary(queued=summary.summary[name].queued, **bins) for name, bins in placed.items()},
        children=JobChildrenSummary(pending=children[PENDING], running=children[RUNNING], dead=children[DEAD] + gone),
    )
    return counted


def reconcile(txn: Transaction, command: ReconcileSummaries) -> Done:
    """Handle `ReconcileSummaries`: those that were counted, unless changed since; without any, all of them."""
    if command.summaries is None:
        for stored in list(txn.scan(JOB_SUMMARIES)):
            deque(_stored(txn, stored), maxlen=0)
        return Done(index=txn.index)
    for counted in command.summaries:
        current = txn.get(JOB_SUMMARIES, (counted.namespace, counted.job_id))
        if current is not None and current.modify_index == counted.modify_index:
            txn.put(JOB_SUMMARIES, replace(counted, modify_index=txn.index))
    return Done(index=txn.index)


def _stored(txn: Transaction, summary: JobSummary) -> Generator[None, None, None]:
    counted = yield from counting(txn, summary)
    if counted != summary:
        txn.put(JOB_SUMMARIES, replace(counted, modify_index=txn.index))
