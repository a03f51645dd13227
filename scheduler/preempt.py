"""Making room for a job of higher priority (spec scheduling §13)."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from yurt.fsm.structs.allocation import AllocatedResources, Allocation
from yurt.fsm.structs.job import Job
from yurt.scheduler.allocate import allocate
from yurt.scheduler.rank.stack import Choice, Stack
from yurt.scheduler.sizes import Size, size_of

PRIORITY_DELTA = 10
_CROWDED = 50.0
_CANDIDATES_MAX = 128  # nodes with victims that are compared
_STEEPNESS, _MIDDLE = 0.0048, 2048.0

Evicted = dict[tuple[str, str, str], int]  # by namespace, job and group, in this plan


def preempting_choice(stack: Stack, job: Job, evicted: Evicted, row: int = -1) -> Choice | None:
    """The best node, or that of `row`, on which the group fits once others are evicted; None if that helps nowhere.

    `evicted` counts what the plan evicted before, and is brought up to date.
    """
    best: tuple[float, int, list[Allocation], AllocatedResources] | None = None
    candidates = 0
    places = [stack.place_of(row)] if row >= 0 else range(len(stack.rows))
    for place in places:
        found = _on_node(stack, job, place, evicted)
        if found is None:
            continue
        victims, resources = found
        score = (float(stack.fit_without(place, victims)) + preemption_score(victims)) / 2
        if best is None or score > best[0]:
            best = (score, place, victims, resources)
        candidates += 1
        if candidates >= _CANDIDATES_MAX:
            break
    if best is None:
        return None
    score, place, victims, resources = best
    for one in victims:
        evicted[_crowd(one)] = evicted.get(_crowd(one), 0) + 1
    metric = stack.metrics.preempted(stack, place, score, preemption_score(victims))
    return Choice(int(stack.rows[place]), resources, stack.size_at(place), metric, victims)


def preemption_score(victims: list[Allocation]) -> float:
    """How cheap the victims are, 0 to 1: few of low priority are best."""
    priorities = [_priority(one) for one in victims]
    highest = max(priorities, default=0)
    net = highest + sum(priorities) / highest if highest else 0.0
    return 1.0 / (1.0 + math.exp(_STEEPNESS * (net - _MIDDLE)))


def _priority(allocation: Allocation) -> int:
    return allocation.job.priority if allocation.job is not None else 0


def _crowd(allocation: Allocation) -> tuple[str, str, str]:
    return (allocation.namespace, allocation.job_id, allocation.task_group)


def _on_node(
    stack: Stack, job: Job, place: int, evicted: Evicted
) -> tuple[list[Allocation], AllocatedResources] | None:
    """Whom to evict from one node, and what the group gets there then."""
    if stack.is_barred(place):
        return None
    row = int(stack.rows[place])
    candidates = [
        one
        for one in stack.working.on_node(row)
        if one.job is not None
        and not one.is_terminal
        and _priority(one) <= job.priority - PRIORITY_DELTA
        and (one.namespace, one.job_id) != (job.namespace, job.id)
    ]
    if not candidates:
        return None
    ask = stack.size_at(place)
    after = stack.working.used[row] + ask - stack.working.cluster.total[row]
    needed = tuple(max(0.0, float(one)) for one in after)
    victims = enough(candidates, needed, ask, evicted)
    if victims is None:
        return None
    return _with_ports(stack, place, candidates, victims)


def enough(
    candidates: list[Allocation], needed: tuple[float, ...], ask: Size, evicted: Evicted
) -> list[Allocation] | None:
    """The victims that free what is needed: lowest priority, then closest in size; None if all are too few."""
    by_priority: dict[int, list[Allocation]] = defaultdict(list)
    for one in candidates:
        by_priority[_priority(one)].append(one)
    chosen: list[Allocation] = []
    counts = dict(evicted)
    missing = list(needed)
    for priority in sorted(by_priority):
        members = by_priority[priority]
        while members and any(one > 0 for one in missing):
            best = min(members, key=lambda one: (_distance(one, tuple(missing), ask, counts), one.id))
            members.remove(best)
            chosen.append(best)
            counts[_crowd(best)] = counts.get(_crowd(best), 0) + 1
            missing = [one - freed for one, freed in zip(missing, _size(best), strict=True)]
    if any(one > 0 for one in missing):
        return None
    return _needed_only(chosen, needed, ask)


def _needed_only(chosen: list[Allocation], needed: tuple[float, ...], ask: Size) -> list[Allocation]:
    """Drop the victims that are not needed once the others are gone, the farthest in size first."""
    kept = sorted(chosen, key=lambda one: _raw_distance(_size(one), ask), reverse=True)
    for one in list(reversed(kept)):
        rest = [other for other in kept if other.id != one.id]
        if rest and all(sum(_size(other)[at] for other in rest) >= needed[at] for at in range(3)):
            kept = rest
    return kept


def _distance(one: Allocation, missing: tuple[float, ...], ask: Size, counts: Evicted) -> float:
    group = one.job.group(one.task_group) if one.job is not None else None
    most = group.migrate.max_parallel if group is not None and group.migrate is not None else 0
    over = counts.get(_crowd(one), 0) + 1 - most if most else 0
    wanted = tuple(need if need > 0 else 0.0 for need in missing)
    return _raw_distance(_size(one), wanted if any(wanted) else ask) + (_CROWDED * over if over > 0 else 0.0)


def _raw_distance(size: Size, ask: tuple[float, ...]) -> float:
    return math.sqrt(sum(((want - has) / want) ** 2 for want, has in zip(ask, size, strict=True) if want))


def _size(allocation: Allocation) -> Size:
    return size_of(allocation.allocated_resources)


def _with_ports(
    stack: Stack, place: int, candidates: list[Allocation], victims: list[Allocation]
) -> tuple[list[Allocation], AllocatedResources] | None:
    """Add the victims that hold ports, cores or devices which the group cannot do without."""
    row = int(stack.rows[place])
    rest = sorted((one for one in candidates if one not in victims), key=lambda one: (_priority(one), one.id))
    for extra in [None, *rest]:
        if extra is not None:
            victims = [*victims, extra]
        resources = _without(stack, place, row, victims)
        if not isinstance(resources, str):
            return _minimal(stack, place, row, victims), resources
    return None


def _without(stack: Stack, place: int, row: int, victims: list[Allocation]) -> AllocatedResources | str:
    for one in victims:
        stack.working.release(one, own=False)
    held = stack.working.holdings(row)
    found = allocate(stack.request, stack.node(place), held, int(np.abs(stack.rows[place])))
    for one in victims:
        stack.working.restore(one, own=False)
    return found


def _minimal(stack: Stack, place: int, row: int, victims: list[Allocation]) -> list[Allocation]:
    """The victims without those that neither size nor ports need."""
    total, ask = stack.working.cluster.total[row], stack.size_at(place)
    kept = list(victims)
    for one in victims:
        rest = [other for other in kept if other.id != one.id]
        used = stack.working.used[row] + ask
        for other in rest:
            used = used - _size(other)
        if rest != kept and not (used > total).any() and not isinstance(_without(stack, place, row, rest), str):
            kept = rest
    return kept
