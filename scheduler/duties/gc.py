"""What nobody needs any more (spec scheduling §20), as far as it can exist without nodes."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.fsm.commands import CollectGarbage
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOB_VERSIONS, JOBS
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import BATCH, DEAD, SYSBATCH, Job

HOUR = 3_600_000_000_000
IDS_PER_COMMAND_MAX = 5000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How old things must be, in nanoseconds."""

    evaluation: int = HOUR
    batch_evaluation: int = 24 * HOUR
    job: int = 4 * HOUR
    deployment: int = HOUR


FORCED = Thresholds(1_000_000, 1_000_000, 1_000_000, 1_000_000)


def collectable(reader: Reader, now_ns: int, thresholds: Thresholds) -> CollectGarbage | None:
    """The command that collects what may go, None if nothing may. Jobs first: their evaluations go with them."""
    jobs, with_jobs = _jobs(reader, now_ns, thresholds)
    evaluations = [
        one.id
        for one in reader.scan(EVALUATIONS)
        if one.id in with_jobs or (_old(one, now_ns, thresholds) and _unneeded(reader, one))
    ]
    deployments = [
        one.id
        for one in reader.scan(DEPLOYMENTS)
        if not one.is_active
        and one.modify_time <= now_ns - thresholds.deployment
        and all(alloc.is_terminal for alloc in reader.find(ALLOCATIONS, "deployment", one.id))
    ]
    if not (jobs or evaluations or deployments):
        return None
    return CollectGarbage(
        now_ns=now_ns,
        evaluation_ids=tuple(evaluations[:IDS_PER_COMMAND_MAX]),
        deployment_ids=tuple(deployments[:IDS_PER_COMMAND_MAX]),
        jobs=tuple(jobs[:IDS_PER_COMMAND_MAX]),
    )


def _old(evaluation: Evaluation, now_ns: int, thresholds: Thresholds) -> bool:
    age = thresholds.batch_evaluation if evaluation.type == BATCH else thresholds.evaluation
    return evaluation.is_terminal and evaluation.modify_time <= now_ns - age


def _unneeded(reader: Reader, evaluation: Evaluation) -> bool:
    """Batch evaluations are kept as long as their job may run again."""
    if reader.has(ALLOCATIONS, "eval", evaluation.id):
        return False
    if evaluation.type != BATCH:
        return True
    job = reader.get(JOBS, (evaluation.namespace, evaluation.job_id))
    return job is None or (job.status == DEAD and job.stop)


def _jobs(reader: Reader, now_ns: int, thresholds: Thresholds) -> tuple[list[tuple[str, str]], dict[str, None]]:
    """Dead jobs that may go, and the evaluations that go with them."""
    found: list[tuple[str, str]] = []
    evaluations: dict[str, None] = {}
    for job in reader.scan(JOBS):
        if not _dead_enough(job, now_ns, thresholds):
            continue
        key = (job.namespace, job.id)
        own = reader.find(EVALUATIONS, "job", key)
        if reader.has(ALLOCATIONS, "job", key) or not all(_old(one, now_ns, thresholds) for one in own):
            continue
        if any(version.version_tag for version in reader.find(JOB_VERSIONS, "job", key)):
            continue
        found.append(key)
        evaluations.update((one.id, None) for one in own)
    return found, evaluations


def _dead_enough(job: Job, now_ns: int, thresholds: Thresholds) -> bool:
    """Only batch and stopped jobs are collected; parents only if they are stopped."""
    if job.status != DEAD or job.submit_time > now_ns - thresholds.job:
        return False
    return job.stop or (job.type in (BATCH, SYSBATCH) and not job.is_parent)
