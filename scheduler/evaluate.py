"""The scheduler's entry: a view and an evaluation become a plan. Nothing else is looked at, nothing is changed."""

from __future__ import annotations

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import FAILED, Evaluation
from yurt.fsm.structs.job import SYSBATCH, SYSTEM, Job
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.generic import GenericRun
from yurt.scheduler.outcome import Outcome
from yurt.scheduler.system import SystemRun

_SYSTEM_TRIGGERS = frozenset(
    {
        "job-register", "node-update", "failed-follow-up", "job-deregister", "rolling-update", "preemption",
        "deployment-watcher", "node-drain", "alloc-stop", "queued-allocs", "job-scaling", "reconnect", "alloc-failure",
    }
)  # fmt: skip


def evaluate(reader: Reader, evaluation: Evaluation, *, now_ns: int, cluster: Cluster | None = None) -> Outcome:
    """Work on a pending or blocked evaluation against a view; `cluster` are the columns of that view, if there are."""
    job = reader.get(JOBS, (evaluation.namespace, evaluation.job_id))
    if not _handles(evaluation):
        text = f"scheduler cannot handle '{evaluation.triggered_by}' evaluation reason"
        return Outcome(replace(evaluation, status=FAILED, status_description=text), reader.index)
    return evaluate_job(reader, job, evaluation, now_ns=now_ns, cluster=cluster)


def _handles(evaluation: Evaluation) -> bool:
    if evaluation.type == SYSTEM:
        return evaluation.triggered_by in _SYSTEM_TRIGGERS
    if evaluation.type == SYSBATCH:
        return evaluation.triggered_by in _SYSTEM_TRIGGERS or evaluation.triggered_by == "periodic-job"
    return evaluation.triggered_by != "scheduled"


def evaluate_job(
    reader: Reader, job: Job | None, evaluation: Evaluation, *, now_ns: int, cluster: Cluster | None = None
) -> Outcome:
    """The same for a job that is handed in (a plan's job is not stored)."""
    kind = SystemRun if (job.type if job is not None else evaluation.type) in (SYSTEM, SYSBATCH) else GenericRun
    return kind(reader, Cluster.of(reader) if cluster is None else cluster, job, evaluation, now_ns=now_ns).run()
