"""Allocations that are back after their node was away: they or their replacements go on (spec scheduling §9.3)."""

from __future__ import annotations

from yurt.fsm.structs.allocation import FAILED, RUN, RUNNING, Allocation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.times import from_rfc3339


def outdated(original: Allocation, job: Job) -> bool:
    """Whether it is not wanted any more, whatever its replacements do."""
    transition = original.desired_transition
    marked = transition is not None and (transition.migrate or transition.reschedule or transition.force_reschedule)
    old = original.job
    older = old is not None and (old.version < job.version or old.create_index < job.create_index)
    return original.desired_status != RUN or bool(marked) or older


def replacements(original: Allocation, by_id: dict[str, Allocation]) -> list[Allocation]:
    """Return the replacements of an allocation that are not stopped, in their order."""
    found: dict[str, Allocation] = {}
    following = by_id.get(original.next_allocation)
    while following is not None and following.id not in found:
        found[following.id] = following
        following = by_id.get(following.next_allocation)
    return [one for one in found.values() if not one.is_server_terminal]


def keeps_original(original: Allocation, replacement: Allocation, group: TaskGroup) -> bool:
    """Whether the original wins by its group's strategy; a replacement of a newer version always does."""
    if _version(replacement) > _version(original):
        return False
    strategy = group.disconnect.reconcile if group.disconnect is not None else "best_score"
    if strategy == "keep_original":
        return True
    if strategy == "keep_replacement":
        return False
    if strategy == "longest_running":
        mine, other = _started(original), _started(replacement)
        if mine is not None or other is not None:
            return other is None or (mine is not None and mine <= other)
    runs = replacement.client_status == RUNNING or original.client_status != RUNNING
    return not (_score(replacement) > _score(original) and runs and replacement.client_status != FAILED)


def _version(allocation: Allocation) -> tuple[int, int]:
    return (allocation.job.create_index, allocation.job.version) if allocation.job else (0, 0)


def _score(allocation: Allocation) -> float:
    scores = allocation.metrics.score_meta_data if allocation.metrics else None
    return scores[0].norm_score if scores else 0.0


def _started(allocation: Allocation) -> int | None:
    """When its leader, else its first main task, was started; nanoseconds, None if not."""
    states = allocation.task_states or {}
    group = allocation.job.group(allocation.task_group) if allocation.job else None
    tasks = (group.tasks or ()) if group else ()
    leaders = [task.name for task in tasks if task.leader]
    names = leaders or [task.name for task in tasks if task.lifecycle is None] or list(states)
    times = [from_rfc3339(text) for name in names if name in states and (text := states[name].started_at)]
    return min(times, default=None)
