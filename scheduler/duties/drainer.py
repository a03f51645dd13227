"""The drainer: which allocations leave a draining node now (spec scheduling §18). Pure: the clock is handed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, JOBS
from yurt.fsm.structs.allocation import Allocation, DesiredTransition
from yurt.fsm.structs.job import BATCH, SERVICE
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.policies import MigrateStrategy
from yurt.fsm.structs.times import from_rfc3339

GroupKey = tuple[str, str, str]


@dataclass(slots=True)
class Drains:
    """What all draining nodes need: marks by allocation, nodes that are done, when to look again (0: no time)."""

    marks: dict[str, DesiredTransition] = field(default_factory=dict)
    jobs: dict[tuple[str, str], Allocation] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)
    deadline_ns: int = 0


def assess(reader: Reader, nodes: list[Node], now_ns: int) -> Drains:
    """Look at all draining nodes together: a group's allocations leave several of them one by one too."""
    found = Drains()
    taken: dict[GroupKey, int] = {}
    for node in nodes:
        strategy = node.drain_strategy
        if strategy is None:
            continue
        at = from_rfc3339(strategy.force_deadline) if strategy.force_deadline else 0
        forced = strategy.deadline < 0 or (at > 0 and at <= now_ns)
        if at > now_ns and (not found.deadline_ns or at < found.deadline_ns):
            found.deadline_ns = at
        alive = [one for one in reader.find(ALLOCATIONS, "node", node.id) if not one.is_client_terminal]
        moving = [one for one in alive if _type(one) in (SERVICE, BATCH)]
        staying = [] if strategy.ignore_system_jobs else [one for one in alive if one not in moving]
        if forced:
            _mark_all(found, moving)
        else:
            _mark_some(reader, found, moving, taken)
        if not moving or forced:
            _mark_all(found, staying)
        if not moving and not staying:
            found.done.append(node.id)
            if forced:
                found.forced.append(node.id)
    return found


def _type(allocation: Allocation) -> str:
    return allocation.job.type if allocation.job is not None else SERVICE


def _is_marked(allocation: Allocation) -> bool:
    return allocation.desired_transition is not None and bool(allocation.desired_transition.migrate)


def _mark(found: Drains, allocation: Allocation, marks: DesiredTransition) -> None:
    found.marks[allocation.id] = marks
    found.jobs.setdefault((allocation.namespace, allocation.job_id), allocation)


def _mark_all(found: Drains, allocations: list[Allocation]) -> None:
    for one in allocations:
        if not one.is_server_terminal and not _is_marked(one):
            batch = True if _type(one) == BATCH else None
            _mark(found, one, DesiredTransition(migrate=True, migrate_disable_placement=batch))


def _mark_some(reader: Reader, found: Drains, moving: list[Allocation], taken: dict[GroupKey, int]) -> None:
    """Service allocations leave as far as the group's migrate block allows; batch ones run on."""
    for one in moving:
        if _type(one) == BATCH or one.is_server_terminal or _is_marked(one) or not _has_health(one):
            continue
        key = (one.namespace, one.job_id, one.task_group)
        if key not in taken:
            taken[key] = _allowed(reader, one)
        if taken[key] > 0:
            taken[key] -= 1
            _mark(found, one, DesiredTransition(migrate=True))


def _has_health(allocation: Allocation) -> bool:
    return allocation.deployment_status is not None and allocation.deployment_status.healthy is not None


def _allowed(reader: Reader, allocation: Allocation) -> int:
    """How many allocations of a group may leave now."""
    key = (allocation.namespace, allocation.job_id)
    job = reader.get(JOBS, key)
    group = job.group(allocation.task_group) if job is not None and not job.stop else None
    if group is None:
        return 1 << 30
    healthy = sum(
        one.task_group == group.name and _has_health(one) and not _is_marked(one)
        for one in reader.find(ALLOCATIONS, "live", key)
    )
    parallel = (group.migrate or MigrateStrategy()).max_parallel or 1
    return healthy - (group.count - parallel)
