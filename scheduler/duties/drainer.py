"""The drainer: which allocations leave a draining node now (spec scheduling §18). Pure: the clock is handed in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, JOBS, NODES
from yurt.fsm.structs.allocation import Allocation, DesiredTransition
from yurt.fsm.structs.job import BATCH, SERVICE
from yurt.fsm.structs.node import DrainStrategy, Node
from yurt.fsm.structs.policies import MigrateStrategy
from yurt.fsm.structs.times import from_rfc3339

GroupKey = tuple[str, str, str]


@dataclass(slots=True)
class Drains:
    """The decisions on all draining nodes: marks by allocation, drained nodes, when to look again (0: no time)."""

    marks: dict[str, DesiredTransition] = field(default_factory=dict)
    jobs: dict[tuple[str, str], Allocation] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)
    deadline_ns: int = 0


def assess(reader: Reader, now_ns: int) -> Generator[None, None, Drains]:
    """Look at all draining nodes together: a group's allocations leave several of them one by one too.

    Each step looks at one row.
    """
    found = Drains()
    taken: dict[GroupKey, int] = {}
    for node in reader.each(NODES, "draining", True):
        yield
        if node is not None and node.drain_strategy is not None:
            yield from _assess_node(reader, found, node, node.drain_strategy, taken, now_ns)
    return found


def _assess_node(
    reader: Reader, found: Drains, node: Node, strategy: DrainStrategy, taken: dict[GroupKey, int], now_ns: int
) -> Iterator[None]:
    at = from_rfc3339(strategy.force_deadline) if strategy.force_deadline else 0
    forced = strategy.deadline < 0 or (at > 0 and at <= now_ns)
    if at > now_ns and (not found.deadline_ns or at < found.deadline_ns):
        found.deadline_ns = at
    moving: list[Allocation] = []
    staying: list[Allocation] = []
    for allocation in reader.each(ALLOCATIONS, "node", node.id):
        yield
        if allocation is None or allocation.is_client_terminal:
            continue
        if _type(allocation) in (SERVICE, BATCH):
            moving.append(allocation)
        elif not strategy.ignore_system_jobs:
            staying.append(allocation)
    if forced:
        yield from _mark_all(found, moving)
    else:
        yield from _mark_some(reader, found, moving, taken)
    if not moving or forced:
        yield from _mark_all(found, staying)
    if not moving and not staying:
        found.done.append(node.id)
        if forced:
            found.forced.append(node.id)


def _type(allocation: Allocation) -> str:
    return allocation.job.type if allocation.job is not None else SERVICE


def _is_marked(allocation: Allocation) -> bool:
    return allocation.desired_transition is not None and bool(allocation.desired_transition.migrate)


def _mark(found: Drains, allocation: Allocation, marks: DesiredTransition) -> None:
    found.marks[allocation.id] = marks
    found.jobs.setdefault((allocation.namespace, allocation.job_id), allocation)


def _mark_all(found: Drains, allocations: list[Allocation]) -> Iterator[None]:
    for one in allocations:
        yield
        if not one.is_server_terminal and not _is_marked(one):
            batch = True if _type(one) == BATCH else None
            _mark(found, one, DesiredTransition(migrate=True, migrate_disable_placement=batch))


def _mark_some(reader: Reader, found: Drains, moving: list[Allocation], taken: dict[GroupKey, int]) -> Iterator[None]:
    """Service allocations leave as far as the group's migrate block allows; batch ones run on."""
    for allocation in moving:
        yield
        if _type(allocation) == BATCH or allocation.is_server_terminal or _is_marked(allocation):
            continue
        if not _has_health(allocation):
            continue
        key = (allocation.namespace, allocation.job_id, allocation.task_group)
        if key not in taken:
            taken[key] = yield from _allowed(reader, allocation)
        if taken[key] > 0:
            taken[key] -= 1
            _mark(found, allocation, DesiredTransition(migrate=True))


def _has_health(allocation: Allocation) -> bool:
    return allocation.deployment_status is not None and allocation.deployment_status.healthy is not None


def _allowed(reader: Reader, allocation: Allocation) -> Generator[None, None, int]:
    """How many allocations of a group may leave now."""
    key = (allocation.namespace, allocation.job_id)
    job = reader.get(JOBS, key)
    group = job.group(allocation.task_group) if job is not None and not job.stop else None
    if group is None:
        return 1 << 30
    healthy = 0
    for other in reader.each(ALLOCATIONS, "live", key):
        yield
        if other is not None:
            healthy += other.task_group == group.name and _has_health(other) and not _is_marked(other)
    parallel = (group.migrate or MigrateStrategy()).max_parallel or 1
    return healthy - (group.count - parallel)
