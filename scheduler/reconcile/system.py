"""The reconciler of system and sysbatch jobs, node by node (spec scheduling §10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from yurt.fsm.structs.allocation import LOST, RUN, RUNNING, UNKNOWN, Allocation, AllocState
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import SYSBATCH
from yurt.fsm.structs.node import DISCONNECTED, DOWN, Node
from yurt.fsm.structs.plan import AllocationChange
from yurt.fsm.structs.times import to_rfc3339
from yurt.scheduler.reconcile.classify import is_tainted, lost_after, own_group, should_reconnect, unknown_since
from yurt.scheduler.reconcile.reschedule import ran_successfully
from yurt.scheduler.reconcile.result import (
    LOST_TEXT,
    NOT_NEEDED,
    TAINTED_TEXT,
    UNKNOWN_TEXT,
    Context,
    GroupResult,
    Wanted,
)
from yurt.scheduler.reconcile.updates import DESTRUCTIVE, IN_PLACE

Slot = tuple[str, str]  # node ID and name


@dataclass(slots=True)
class SystemResult:
    """The decisions by group; `updates` are allocations to be replaced on their nodes."""

    groups: dict[str, GroupResult] = field(default_factory=dict)
    updates: dict[str, list[Wanted]] = field(default_factory=dict)

    def group(self, name: str) -> GroupResult:
        """Return the result of a group, which is added if it is new."""
        return self.groups.setdefault(name, GroupResult())


def reconcile_system(
    context: Context, allocations: Iterable[Allocation], feasible: dict[str, list[str]], targeted: set[str]
) -> SystemResult:
    """Compare what a job wants on each node with what is there.

    `feasible` has the IDs of the nodes that may run each group, `targeted` those of the job's datacenters and pool.
    """
    job = context.job
    result = SystemResult()
    wanted: dict[str, TaskGroup] = {}
    for group in (job.task_groups or ()) if job is not None else ():
        result.group(group.name)
        if job is not None and not job.stop:
            wanted.update({f"{job.name}.{group.name}[{index}]": group for index in range(group.count)})
    taken: dict[Slot, Allocation] = {}
    ended: dict[Slot, Allocation] = {}
    for one in allocations:
        slot = (one.node_id, one.name)
        if one.is_terminal:
            older = ended.get(slot)
            if older is None or older.create_index <= one.create_index:
                ended[slot] = one
            _stop_again(context, result.group(one.task_group), one)
        else:
            taken[slot] = one
            _look(context, result, one, wanted.get(one.name), targeted)
    for name, group in wanted.items():
        for node_id in feasible.get(group.name, ()):
            slot = (node_id, name)
            if slot not in taken:
                _fill(context, result, group, slot, ended.get(slot))
    return result


def _fill(context: Context, result: SystemResult, group: TaskGroup, slot: Slot, ended: Allocation | None) -> None:
    """An empty place: system jobs fill it, sysbatch jobs if nothing of this version ran there."""
    job = context.job
    assert job is not None
    found = result.group(group.name)
    if job.type == SYSBATCH and ended is not None and not _is_changed(ended, job.job_modify_index):
        found.updates["ignore"] += 1
        return
    found.updates["place"] += 1
    found.place.append(Wanted(slot[1], group, job, previous=ended, node_id=slot[0]))


def _is_changed(one: Allocation, job_modify_index: int) -> bool:
    return one.job is not None and one.job.job_modify_index != job_modify_index


def _stop_again(context: Context, result: GroupResult, one: Allocation) -> None:
    if one.is_server_terminal and not one.is_client_terminal and one.client_status != UNKNOWN:
        node = context.find_node(one.node_id)
        if node is None or node.status == DOWN:
            result.stop(one, LOST_TEXT, status=LOST, counted=False)


def _look(context: Context, result: SystemResult, one: Allocation, group: TaskGroup | None, targeted: set[str]) -> None:
    """Decide what becomes of a living allocation."""
    found = result.group(one.task_group)
    node = context.find_node(one.node_id)
    since = unknown_since(one)
    after = lost_after(own_group(one, group))
    if group is None:
        gone = node is None or node.status == DOWN
        found.stop(one, LOST_TEXT if gone else NOT_NEEDED, status=LOST if gone else "")
    elif one.desired_transition is not None and one.desired_transition.migrate:
        found.stop(one, TAINTED_TEXT)
    elif one.client_status == UNKNOWN and since is not None and 0 < after <= context.now_ns - since:
        found.stop(one, LOST_TEXT, status=LOST)
    elif one.client_status == UNKNOWN and one.desired_status == RUN:
        found.updates["ignore"] += 1
    elif not is_tainted(node) and should_reconnect(one):
        found.updates["reconnect"] += 1
        state = AllocState(value="running", time=to_rfc3339(context.now_ns))
        found.changes[one.id] = AllocationChange(id=one.id, alloc_state=state)
    elif node is None or is_tainted(node):
        _on_tainted(context, found, one, node, after)
    else:
        _on_node(context, result, one, group, node, targeted)


def _on_tainted(context: Context, found: GroupResult, one: Allocation, node: Node | None, after: int) -> None:
    sysbatch = context.job is not None and context.job.type == SYSBATCH
    if sysbatch and ran_successfully(one):
        found.updates["ignore"] += 1
    elif node is not None and node.status == DISCONNECTED and one.client_status == RUNNING and after:
        found.updates["disconnect"] += 1
        found.changes[one.id] = AllocationChange(
            id=one.id,
            client_status=UNKNOWN,
            client_description=UNKNOWN_TEXT,
            alloc_state=AllocState(value=UNKNOWN, time=to_rfc3339(context.now_ns)),
        )
    elif node is None or node.status in (DOWN, DISCONNECTED):
        found.stop(one, LOST_TEXT, status=LOST)
    else:
        found.updates["ignore"] += 1


def _on_node(
    context: Context, result: SystemResult, one: Allocation, group: TaskGroup, node: Node, targeted: set[str]
) -> None:
    job = context.job
    assert job is not None
    found = result.group(group.name)
    changed = _is_changed(one, job.job_modify_index)
    if not node.is_ready:
        if changed:
            found.stop(one, NOT_NEEDED)
        else:
            found.updates["ignore"] += 1
    elif node.id not in targeted:
        found.stop(one, NOT_NEEDED)
    elif not changed:
        found.updates["ignore"] += 1
    else:
        kind = context.kind(one, group)
        if kind == IN_PLACE:
            found.updates["in_place_update"] += 1
            found.in_place.append(one)
        elif kind == DESTRUCTIVE:
            update = Wanted(one.name, group, job, previous=one, replaces=one, node_id=node.id)
            result.updates.setdefault(group.name, []).append(update)
        else:
            found.updates["ignore"] += 1
