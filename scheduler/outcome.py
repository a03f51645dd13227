"""The outcome of an evaluation: the plan and the evaluations that follow from it (spec scheduling §6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from yurt.fsm.commands import ApplyPlan, DeploymentUpdate
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import BLOCKED, Evaluation
from yurt.fsm.structs.plan import (
    ALLOCATIONS_PER_PLAN_MAX,
    AllocationChange,
    AllocationEviction,
    AllocationStop,
    Placement,
)

T = TypeVar("T")


@dataclass(slots=True)
class Outcome:
    """`evaluation` is the one in work, changed; `created` are new ones, `changed` others that end.

    `snapshot_index` is that of the view it was decided on.
    """

    evaluation: Evaluation
    snapshot_index: int = 0
    created: list[Evaluation] = field(default_factory=list)
    changed: list[Evaluation] = field(default_factory=list)
    deployment: Deployment | None = None
    deployment_updates: list[DeploymentUpdate] = field(default_factory=list)
    placed: list[Placement] = field(default_factory=list)
    updated: list[AllocationChange] = field(default_factory=list)
    stopped: list[AllocationStop] = field(default_factory=list)
    evicted: list[AllocationEviction] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """Whether only the evaluation itself changes."""
        return not (self.created or self.changed or self.has_plan)

    @property
    def has_plan(self) -> bool:
        """Whether there is anything to apply beside evaluations."""
        return bool(
            self.placed
            or self.updated
            or self.stopped
            or self.evicted
            or self.deployment is not None
            or self.deployment_updates
        )

    def finds_no_room_again(self, before: Evaluation) -> bool:
        """Whether a blocked evaluation, `before`, just waits on: it was not changed, nothing need be written."""
        return (
            self.is_plain
            and self.evaluation.status == BLOCKED == before.status
            and self.evaluation.snapshot_index == before.snapshot_index
        )

    def commands(self, now_ns: int) -> list[ApplyPlan]:
        """The plan as commands of bounded size: the deployment goes first, the evaluations go last.

        What is stopped and evicted goes before what is placed in its room.
        """
        stopped, evicted, updated, placed = (
            iter(self.stopped), iter(self.evicted), iter(self.updated), iter(self.placed),
        )  # fmt: skip
        size = len(self.stopped) + len(self.evicted) + len(self.updated) + len(self.placed)
        made: list[ApplyPlan] = []
        for number in range(max(1, -(-size // ALLOCATIONS_PER_PLAN_MAX))):
            room = _Room(ALLOCATIONS_PER_PLAN_MAX)
            last = (number + 1) * ALLOCATIONS_PER_PLAN_MAX >= size
            made.append(
                ApplyPlan(
                    now_ns=now_ns,
                    eval_id=self.evaluation.id,
                    deployment=self.deployment if number == 0 else None,
                    deployment_updates=tuple(self.deployment_updates) if number == 0 else (),
                    stopped=room.take(stopped),
                    evicted=room.take(evicted),
                    changed=room.take(updated),
                    placed=room.take(placed),
                    evaluations=(*self.changed, self.evaluation, *self.created) if last else (),
                )
            )
        return made


class _Room:
    """The room that is left in a command."""

    def __init__(self, size: int) -> None:
        self._size = size

    def take(self, source: Iterator[T]) -> tuple[T, ...]:
        taken = tuple(islice(source, self._size))
        self._size -= len(taken)
        return taken
