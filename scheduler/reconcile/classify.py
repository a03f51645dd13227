"""The classification of a group's allocations, by their own state and their nodes' (spec scheduling §7.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from yurt.fsm.structs.allocation import FAILED, PENDING, RUN, RUNNING, STOP, UNKNOWN, Allocation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.node import DISCONNECTED, DOWN, READY, Node
from yurt.fsm.structs.times import from_rfc3339

FindNode = Callable[[str], Node | None]


@dataclass(slots=True)
class Classes:
    """The allocations of a group, each in one list."""

    untainted: list[Allocation] = field(default_factory=list)
    migrate: list[Allocation] = field(default_factory=list)
    lost: list[Allocation] = field(default_factory=list)
    disconnecting: list[Allocation] = field(default_factory=list)
    reconnecting: list[Allocation] = field(default_factory=list)
    expiring: list[Allocation] = field(default_factory=list)
    ignored: list[Allocation] = field(default_factory=list)
    returning: list[Allocation] = field(default_factory=list)  # their node is back, their client said nothing yet


def is_tainted(node: Node | None) -> bool:
    """Whether allocations may have to leave a node."""
    return node is None or node.status in (DOWN, DISCONNECTED) or node.drain_strategy is not None


def own_group(allocation: Allocation, group: TaskGroup | None) -> TaskGroup:
    """The group as it was when the allocation was placed, else as it is."""
    own = allocation.job.group(allocation.task_group) if allocation.job else None
    return own or group or TaskGroup()


def lost_after(group: TaskGroup) -> int:
    """How long an allocation of an unreachable node is unknown before it is lost, nanoseconds; 0: not at all."""
    if group.disconnect is not None:
        return group.disconnect.lost_after
    return group.max_client_disconnect or 0


def replaced_when_unknown(group: TaskGroup) -> bool:
    """Whether an unknown allocation gets a replacement."""
    if group.disconnect is not None:
        return group.disconnect.replace
    return not group.prevent_reschedule_on_lost


def stop_after(group: TaskGroup) -> int | None:
    """How long the client waits before it stops the tasks of a node without servers, nanoseconds."""
    if group.disconnect is not None and group.disconnect.stop_on_client_after is not None:
        return group.disconnect.stop_on_client_after
    return group.stop_after_client_disconnect


def unknown_since(allocation: Allocation) -> int | None:
    """Since when the newest status that the server gave it is `unknown`, nanoseconds; None if it is not."""
    states = [one for one in allocation.alloc_states or () if one.field == 0]
    if not states or states[-1].value != UNKNOWN or not states[-1].time:
        return None
    return from_rfc3339(states[-1].time)


def should_reconnect(allocation: Allocation) -> bool:
    """Whether it was given up for the time being and may be back."""
    return allocation.client_status in (UNKNOWN, RUNNING, FAILED) and unknown_since(allocation) is not None


def classify(
    allocations: Iterable[Allocation], group: TaskGroup | None, find_node: FindNode, now_ns: int, canaries: set[str]
) -> Classes:
    """Sort a group's allocations into classes."""
    found = Classes()
    for one in allocations:
        getattr(found, _class_of(one, own_group(one, group), find_node(one.node_id), now_ns, canaries)).append(one)
    return found


def _class_of(one: Allocation, group: TaskGroup, node: Node | None, now_ns: int, canaries: set[str]) -> str:
    transition = one.desired_transition
    back = should_reconnect(one)
    if back and one.desired_status == RUN and one.client_status == FAILED:
        return "reconnecting"
    if not back and one.is_server_terminal:
        kept = transition is not None and transition.migrate_disable_placement
        return "untainted" if kept else "ignored"
    migrates = transition is not None and bool(transition.migrate)
    if not back and one.is_terminal:
        return "migrate" if migrates and one.id in canaries else "untainted"
    since = unknown_since(one)
    if one.client_status == UNKNOWN and since is not None and 0 < lost_after(group) <= now_ns - since:
        return "expiring"
    if back and one.client_status == FAILED and one.desired_status == STOP:
        return "ignored"
    return _class_by_node(one, group, node, migrates=migrates, back=back)


def _class_by_node(one: Allocation, group: TaskGroup, node: Node | None, *, migrates: bool, back: bool) -> str:
    if node is not None and node.status == DISCONNECTED:
        if one.client_status == UNKNOWN:
            return "untainted"
        if one.client_status == PENDING or not lost_after(group):
            return "lost"
        return "disconnecting"
    if migrates:
        return "migrate"
    if node is None:
        return "lost"
    if not is_tainted(node) or node.status == READY:
        if one.client_status == UNKNOWN:
            return "returning"
        return "reconnecting" if back else "untainted"
    if node.status != DOWN:
        return "untainted"
    if not replaced_when_unknown(group) and one.client_status == UNKNOWN:
        return "untainted"
    if not replaced_when_unknown(group) and one.client_status == RUNNING:
        return "disconnecting"
    return "lost"
