"""The context and the result of reconciling one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.evaluation import DesiredUpdates, Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.plan import AllocationChange, AllocationStop
from yurt.scheduler.reconcile.classify import FindNode

NOT_NEEDED = "alloc not needed due to job update"
UPDATING = "alloc is being updated due to job update"
MIGRATING = "alloc is being migrated"
LOST_TEXT = "alloc is lost since its node is down"
UNKNOWN_TEXT = "alloc is unknown since its node is disconnected"
TAINTED_TEXT = "alloc not needed as node is tainted"
RECONNECTED_TEXT = "alloc not needed due to disconnected client reconnect"


@dataclass(frozen=True, slots=True)
class Context:
    """A reconciler's inputs beside the allocations.

    `kind` says what happens to an allocation of an older version, `is_pending` whether an evaluation still waits,
    `new_id` makes an ID that follows from the evaluation and what it is for.
    """

    job: Job | None
    evaluation: Evaluation
    now_ns: int
    find_node: FindNode
    kind: Callable[[Allocation, TaskGroup], str]
    is_pending: Callable[[str], bool]
    new_id: Callable[[str], str]
    batch: bool = False


@dataclass(slots=True)
class Wanted:
    """An allocation to be placed, and the one that ends if it finds a place (`replaces`)."""

    name: str
    group: TaskGroup
    job: Job
    previous: Allocation | None = None
    replaces: Allocation | None = None
    canary: bool = False
    reschedule: bool = False
    node_id: str = ""  # system jobs: nowhere else


@dataclass(slots=True)
class GroupResult:
    """Everything a plan does to a group; `updates` are the counters of DesiredTGUpdates."""

    place: list[Wanted] = field(default_factory=list)
    destructive: list[Wanted] = field(default_factory=list)
    in_place: list[Allocation] = field(default_factory=list)
    stops: dict[str, AllocationStop] = field(default_factory=dict)
    stopped: list[Allocation] = field(default_factory=list)
    changes: dict[str, AllocationChange] = field(default_factory=dict)
    follow_ups: list[Evaluation] = field(default_factory=list)
    updates: Counter[str] = field(default_factory=Counter)
    complete: bool = True

    def stop(self, one: Allocation, text: str, *, status: str = "", follow_up: str = "", counted: bool = True) -> None:
        """An allocation ends, whatever finds a place."""
        if one.id not in self.stops:
            self.stopped.append(one)
            self.updates["stop"] += counted
        self.stops[one.id] = AllocationStop(
            id=one.id, description=text, client_status=status, followup_eval_id=follow_up
        )

    def desired_updates(self) -> DesiredUpdates:
        """The counters as the record."""
        return DesiredUpdates(**self.updates)
