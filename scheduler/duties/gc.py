"""Core garbage collection (spec scheduling §20): a pass over an immutable view, in commands of bounded work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from yurt.fsm.apply.versions import has_tag
from yurt.fsm.commands import CollectGarbage
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOB_VERSIONS, JOBS, NODES, Table
from yurt.fsm.structs.allocation import FAILED, RUNNING, Allocation
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import BATCH, DEAD, SYSBATCH, Job
from yurt.fsm.structs.node import DOWN
from yurt.fsm.structs.times import SECOND

HOUR = 3_600_000_000_000
COST_MAX = 128  # of a command: rows that applying it deletes, so that it takes a few milliseconds
JOB_COST = 8  # the rows of a job beside versions, evaluations and allocations


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How old things must be, in nanoseconds."""

    evaluation: int = HOUR
    batch_evaluation: int = 24 * HOUR
    job: int = 4 * HOUR
    deployment: int = HOUR
    node: int = 24 * HOUR


FORCED = Thresholds(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)


_COLLECTED: tuple[Table[Any, Any], ...] = (JOBS, EVALUATIONS, ALLOCATIONS, DEPLOYMENTS, NODES)


@dataclass(slots=True)
class _Batch:
    """The rows that the next command collects; rows that have changed since the view wait for the next pass."""

    now_ns: int
    newest: Callable[[], Reader]
    cost: int = 0
    rows: dict[str, dict[Any, Any]] = field(default_factory=dict)

    def add(self, table: Table[Any, Any], row: Any, cost: int = 1) -> None:
        """Note a row that may go."""
        self.rows.setdefault(table.name, {})[table.key(row)] = row
        self.cost += cost

    def flush(self, most: int = 0) -> Iterator[CollectGarbage]:
        """The command, if there is something in it and it has cost more than `most`; then all begins anew."""
        if self.cost <= most:
            return
        newest = self.newest()
        jobs, evaluations, allocations, deployments, nodes = (
            tuple(key for key, row in self.rows.get(table.name, {}).items() if newest.get(table, key) is row)
            for table in _COLLECTED
        )
        jobs = tuple(key for key in jobs if not has_tag(newest, *key))  # a tag changes a version, not the job
        self.rows, self.cost = {}, 0
        if jobs or evaluations or allocations or deployments or nodes:
            yield CollectGarbage(
                now_ns=self.now_ns,
                evaluation_ids=evaluations,
                deployment_ids=deployments,
                jobs=jobs,
                allocation_ids=allocations,
                node_ids=nodes,
            )


def collecting(
    reader: Reader, now_ns: int, thresholds: Thresholds, newest: Callable[[], Reader] | None = None
) -> Iterator[CollectGarbage | None]:
    """Find all that may go: the commands that collect it, each of bounded work, and None after each other step.

    The pass reads one state throughout; with `newest` a command names only what is the same in the newest state. Jobs
    come first: what is theirs goes with them, of a large job in commands before its own.
    """
    batch = _Batch(now_ns, newest or (lambda: reader))
    with_jobs: set[str] = set()
    for steps in (
        _jobs(reader, now_ns, thresholds, batch, with_jobs),
        _evaluations(reader, now_ns, thresholds, batch, with_jobs),
        _deployments(reader, now_ns, thresholds, batch),
        _nodes(reader, now_ns, thresholds, batch),
    ):
        for _ in steps:
            yield None
            yield from batch.flush(COST_MAX)
        yield from batch.flush()


def _jobs(reader: Reader, now_ns: int, thresholds: Thresholds, batch: _Batch, with_jobs: set[str]) -> Iterator[None]:
    """Dead jobs with all that is theirs; `with_jobs` learns the evaluations."""
    for job in reader.scan(JOBS):
        yield
        if not _dead_enough(job, now_ns, thresholds):
            continue
        key = (job.namespace, job.id)
        own: list[Evaluation] = []
        placed: list[Allocation] = []
        is_free = True
        for evaluation in reader.each(EVALUATIONS, "job", key):
            yield
            if evaluation is not None:
                own.append(evaluation)
                is_free = _old(evaluation, now_ns, thresholds)
            if not is_free:
                break
        if not is_free:
            continue
        for allocation in reader.each(ALLOCATIONS, "job", key):
            yield
            if allocation is not None:
                placed.append(allocation)
                is_free = is_collectable(allocation, job, now_ns, thresholds.evaluation)
            if not is_free:
                break
        versions = reader.find(JOB_VERSIONS, "job", key)
        if not is_free or any(version.version_tag for version in versions):
            continue
        with_jobs.update(row.id for row in own)
        for table, rows in ((EVALUATIONS, own), (ALLOCATIONS, placed)):
            for row in rows:
                batch.add(table, row)
                if batch.cost > COST_MAX:
                    yield
        batch.add(JOBS, job, JOB_COST + len(versions))


def _evaluations(
    reader: Reader, now_ns: int, thresholds: Thresholds, batch: _Batch, with_jobs: set[str]
) -> Iterator[None]:
    """Old evaluations with their allocations, or only those of the allocations that may go."""
    for evaluation in reader.scan(EVALUATIONS):
        yield
        if evaluation.id in with_jobs or not _old(evaluation, now_ns, thresholds):
            continue
        keeps = False
        goes = _goes_with(reader, evaluation, now_ns, thresholds)
        for allocation in reader.each(ALLOCATIONS, "eval", evaluation.id):
            yield
            if allocation is None:
                continue
            if goes(allocation):
                batch.add(ALLOCATIONS, allocation)
            else:
                keeps = True
        if not keeps and _unneeded(reader, evaluation):
            batch.add(EVALUATIONS, evaluation)


def _deployments(reader: Reader, now_ns: int, thresholds: Thresholds, batch: _Batch) -> Iterator[None]:
    for deployment in reader.scan(DEPLOYMENTS):
        yield
        if deployment.is_active or deployment.modify_time > now_ns - thresholds.deployment:
            continue
        if (yield from _all_ended(reader, "deployment", deployment.id)):
            batch.add(DEPLOYMENTS, deployment)


def _nodes(reader: Reader, now_ns: int, thresholds: Thresholds, batch: _Batch) -> Iterator[None]:
    for node in reader.scan(NODES):
        yield
        if node.status != DOWN or node.status_updated_at * SECOND > now_ns - thresholds.node:
            continue
        if (yield from _all_ended(reader, "node", node.id)):
            batch.add(NODES, node, 2)


def _all_ended(reader: Reader, index: str, key: str) -> Generator[None, None, bool]:
    """Whether every allocation of a deployment or node has ended, one a step."""
    for allocation in reader.each(ALLOCATIONS, index, key):
        yield
        if allocation is not None and not allocation.is_terminal:
            return False
    return True


def _old(evaluation: Evaluation, now_ns: int, thresholds: Thresholds) -> bool:
    age = thresholds.batch_evaluation if evaluation.type == BATCH else thresholds.evaluation
    return evaluation.is_terminal and evaluation.modify_time <= now_ns - age


def _unneeded(reader: Reader, evaluation: Evaluation) -> bool:
    """Batch evaluations are kept as long as their job may run again."""
    return evaluation.type != BATCH or _is_over(reader.get(JOBS, (evaluation.namespace, evaluation.job_id)))


def _is_over(job: Job | None) -> bool:
    return job is None or (job.status == DEAD and job.stop)


def _goes_with(
    reader: Reader, evaluation: Evaluation, now_ns: int, thresholds: Thresholds
) -> Callable[[Allocation], bool]:
    """Which allocations of an evaluation may go: of a batch job that may run again, only older versions' ones."""
    job = reader.get(JOBS, (evaluation.namespace, evaluation.job_id))
    batch = evaluation.type == BATCH
    age = thresholds.batch_evaluation if batch else thresholds.evaluation
    oldest = job.version if batch and job is not None and not _is_over(job) else None

    def goes(allocation: Allocation) -> bool:
        if oldest is not None and (allocation.job is None or allocation.job.version >= oldest):
            return False
        return is_collectable(allocation, job, now_ns, age)

    return goes


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


def _dead_enough(job: Job, now_ns: int, thresholds: Thresholds) -> bool:
    """Only batch and stopped jobs are collected; parents only if they are stopped."""
    if job.status != DEAD or job.submit_time > now_ns - thresholds.job:
        return False
    return job.stop or (job.type in (BATCH, SYSBATCH) and not job.is_parent)
