"""What nobody needs any more (spec scheduling §20)."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.fsm.commands import CollectGarbage
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOB_VERSIONS, JOBS, NODES
from yurt.fsm.structs.allocation import FAILED, RUNNING, Allocation
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import BATCH, DEAD, SYSBATCH, Job
from yurt.fsm.structs.node import DOWN
from yurt.fsm.structs.times import SECOND

HOUR = 3_600_000_000_000
IDS_PER_COMMAND_MAX = 5000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How old things must be, in nanoseconds."""

    evaluation: int = HOUR
    batch_evaluation: int = 24 * HOUR
    job: int = 4 * HOUR
    deployment: int = HOUR
    node: int = 24 * HOUR


FORCED = Thresholds(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)


def collectable(reader: Reader, now_ns: int, thresholds: Thresholds) -> CollectGarbage | None:
    """The command that collects what may go, None if nothing may. Jobs first: what is theirs goes with them."""
    jobs, with_jobs = _jobs(reader, now_ns, thresholds)
    evaluations: list[str] = list(with_jobs)
    allocations: dict[str, None] = {}
    for one in reader.scan(EVALUATIONS):
        if one.id not in with_jobs and _old(one, now_ns, thresholds):
            own = reader.find(ALLOCATIONS, "eval", one.id)
            going = _going(reader, one, own, now_ns, thresholds)
            allocations.update((alloc.id, None) for alloc in going)
            if len(going) == len(own) and _unneeded(reader, one):
                evaluations.append(one.id)
    deployments = [
        one.id
        for one in reader.scan(DEPLOYMENTS)
        if not one.is_active
        and one.modify_time <= now_ns - thresholds.deployment
        and all(alloc.is_terminal for alloc in reader.find(ALLOCATIONS, "deployment", one.id))
    ]
    nodes = [
        one.id
        for one in reader.scan(NODES)
        if one.status == DOWN
        and one.status_updated_at * SECOND <= now_ns - thresholds.node
        and all(alloc.is_terminal for alloc in reader.find(ALLOCATIONS, "node", one.id))
    ]
    if not (jobs or evaluations or deployments or allocations or nodes):
        return None
    return CollectGarbage(
        now_ns=now_ns,
        evaluation_ids=tuple(evaluations[:IDS_PER_COMMAND_MAX]),
        deployment_ids=tuple(deployments[:IDS_PER_COMMAND_MAX]),
        jobs=tuple(jobs[:IDS_PER_COMMAND_MAX]),
        allocation_ids=tuple(list(allocations)[:IDS_PER_COMMAND_MAX]),
        node_ids=tuple(nodes[:IDS_PER_COMMAND_MAX]),
    )


def _old(evaluation: Evaluation, now_ns: int, thresholds: Thresholds) -> bool:
    age = thresholds.batch_evaluation if evaluation.type == BATCH else thresholds.evaluation
    return evaluation.is_terminal and evaluation.modify_time <= now_ns - age


def _unneeded(reader: Reader, evaluation: Evaluation) -> bool:
    """Batch evaluations are kept as long as their job may run again."""
    return evaluation.type != BATCH or _is_over(reader.get(JOBS, (evaluation.namespace, evaluation.job_id)))


def _is_over(job: Job | None) -> bool:
    return job is None or (job.status == DEAD and job.stop)


def _going(
    reader: Reader, evaluation: Evaluation, own: list[Allocation], now_ns: int, thresholds: Thresholds
) -> list[Allocation]:
    """The allocations of an evaluation that may go: of a batch job that may run again, only older versions' ones."""
    job = reader.get(JOBS, (evaluation.namespace, evaluation.job_id))
    batch = evaluation.type == BATCH
    age = thresholds.batch_evaluation if batch else thresholds.evaluation
    if batch and job is not None and not _is_over(job):
        own = [one for one in own if one.job is not None and one.job.version < job.version]
    return [one for one in own if is_collectable(one, job, now_ns, age)]


def is_collectable(allocation: Allocation, job: Job | None, now_ns: int, age: int) -> bool:
    """Whether nothing will ever look at the allocation again."""
    if not allocation.is_terminal or allocation.client_status == RUNNING or allocation.modify_time > now_ns - age:
        return False
    if job is None or job.stop or job.status == DEAD:
        return True
    if allocation.is_server_terminal or allocation.client_status != FAILED or allocation.next_allocation:
        return True
    group = allocation.job.group(allocation.task_group) if allocation.job is not None else None
    policy = group.reschedule_policy if group is not None else None
    if policy is None:
        return True
    tracker = allocation.reschedule_tracker
    if policy.unlimited or tracker is None or not tracker.events:
        return False
    return now_ns - tracker.events[-1].reschedule_time > policy.interval


def _jobs(reader: Reader, now_ns: int, thresholds: Thresholds) -> tuple[list[tuple[str, str]], dict[str, None]]:
    """Dead jobs that may go, and the evaluations that go with them."""
    found: list[tuple[str, str]] = []
    evaluations: dict[str, None] = {}
    for job in reader.scan(JOBS):
        if not _dead_enough(job, now_ns, thresholds):
            continue
        key = (job.namespace, job.id)
        own = reader.find(EVALUATIONS, "job", key)
        if not all(_old(one, now_ns, thresholds) for one in own):
            continue
        placed = reader.find(ALLOCATIONS, "job", key)
        if not all(is_collectable(one, job, now_ns, thresholds.evaluation) for one in placed):
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
