"""What one group needs: how many allocations are wanted beside those that are there (spec scheduling §7.2)."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.evaluation import DesiredUpdates
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import SYSBATCH, SYSTEM, Job


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """How many to place, and what a plan says about the group."""

    place: int
    updates: DesiredUpdates


def reconcile_group(job: Job, group: TaskGroup, allocations: list[Allocation]) -> GroupChanges:
    """Compare what is wanted with what lives. System jobs are wanted a node each, so without nodes there is nothing."""
    live = [one for one in allocations if not one.is_terminal and one.task_group == group.name]
    if job.stop:
        return GroupChanges(0, DesiredUpdates(stop=len(live)))
    wanted = 0 if job.type in (SYSTEM, SYSBATCH) else group.count
    place = max(0, wanted - len(live))
    ignored = min(wanted, len(live))
    return GroupChanges(place, DesiredUpdates(place=place, ignore=ignored, stop=max(0, len(live) - wanted)))
