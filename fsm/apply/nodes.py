"""Nodes: registration, status, eligibility, removal (spec scheduling §18)."""

from __future__ import annotations

from yurt.fsm.apply.node_class import computed_class
from yurt.fsm.apply.node_evaluations import evaluate_nodes
from yurt.fsm.apply.services import delete_of_node
from yurt.fsm.commands_nodes import (
    EvaluateNode,
    NodeWritten,
    PurgeNode,
    RegisterNode,
    SetNodeEligibility,
    UpdateNodeStatuses,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import NODE_POOLS, NODES
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.node import (
    DISCONNECTED,
    DOWN,
    ELIGIBLE,
    INELIGIBLE,
    INITIALIZING,
    READY,
    Node,
    NodeEvent,
    NodePool,
)
from yurt.fsm.structs.times import SECOND, to_rfc3339

EVENTS_KEPT = 10
NO_NODE = "node not found"
_LOOKED_AT = ("datacenter", "name", "node_class", "attributes", "meta", "drivers", "host_volumes", "computed_class")


def with_event(
    txn: Transaction,
    node: Node,
    message: str,
    now_ns: int,
    *,
    subsystem: str = "Cluster",
    details: dict[str, str] | None = None,
) -> Node:
    """The node with one more event; the oldest go."""
    event = NodeEvent(
        message=message, subsystem=subsystem, details=details, timestamp=to_rfc3339(now_ns), create_index=txn.index
    )
    changed: Node = replace(node, events=(*(node.events or ()), event)[-EVENTS_KEPT:])
    return changed


def find_node(txn: Transaction, node_id: str) -> Node:
    """The node of that ID; raises Refusal(500)."""
    node = txn.get(NODES, node_id)
    if node is None:
        raise Refusal(500, NO_NODE)
    return node


def register(txn: Transaction, command: RegisterNode) -> NodeWritten:
    """Handle `RegisterNode`: a node that is known keeps its status, eligibility and drain, and must show its secret."""
    given = command.node
    stored = txn.get(NODES, given.id)
    if stored is not None and stored.secret_id != given.secret_id:
        raise Refusal(500, "node secret ID does not match. Not registering node.")
    pool = given.node_pool or "default"
    if txn.get(NODE_POOLS, pool) is None:
        txn.put(NODE_POOLS, NodePool(name=pool, create_index=txn.index, modify_index=txn.index))
    node = replace(
        given,
        node_pool=pool,
        computed_class=computed_class(replace(given, node_pool=pool)),
        drain=False,
        drain_strategy=None,
        last_drain=None,
        events=None,
        status=INITIALIZING,
        scheduling_eligibility=INELIGIBLE if given.scheduling_eligibility == INELIGIBLE else ELIGIBLE,
        status_updated_at=command.now_ns // SECOND,
        last_missed_heartbeat_index=0,
        last_alloc_update_index=0,
        create_index=txn.index,
        modify_index=txn.index,
    )
    if stored is None:
        txn.put(NODES, with_event(txn, node, "Node registered", command.now_ns))
        return NodeWritten(index=txn.index, node_modify_index=txn.index)
    node = replace(node, **{name: getattr(stored, name) for name in _KEPT})
    if stored.status != READY:
        node = with_event(txn, node, "Node re-registered", command.now_ns)
    txn.put(NODES, node)
    made: tuple[str, ...] = ()
    if any(getattr(node, name) != getattr(stored, name) for name in _LOOKED_AT):
        made = evaluate_nodes(txn, (node,), command.seed, command.now_ns)
    return NodeWritten(index=txn.index, node_modify_index=txn.index, eval_ids=made)


_KEPT = (
    "drain", "drain_strategy", "last_drain", "events", "status", "scheduling_eligibility", "create_index",
    "last_missed_heartbeat_index", "last_alloc_update_index",
)  # fmt: skip


def update_statuses(txn: Transaction, command: UpdateNodeStatuses) -> NodeWritten:
    """Handle `UpdateNodeStatuses`; nodes that are gone by now are left out, one alone is refused."""
    if len(command.statuses) == 1:
        find_node(txn, command.statuses[0].node_id)
    concerned = []
    for one in command.statuses:
        stored = txn.get(NODES, one.node_id)
        if stored is None:
            continue
        missed = one.status in (DOWN, DISCONNECTED)
        node = replace(
            stored,
            status=one.status,
            status_updated_at=command.now_ns // SECOND,
            last_missed_heartbeat_index=txn.index if missed else stored.last_missed_heartbeat_index,
            modify_index=txn.index,
        )
        if one.event:
            node = with_event(txn, node, one.event, command.now_ns)
        txn.put(NODES, node)
        if one.status == DOWN:
            delete_of_node(txn, node.id)
        if _concerns_jobs(stored.status, one.status):
            concerned.append(node)
    made = evaluate_nodes(txn, concerned, command.seed, command.now_ns)
    return NodeWritten(index=txn.index, node_modify_index=txn.index, eval_ids=made)


def _concerns_jobs(old: str, new: str) -> bool:
    if new == DOWN or (DISCONNECTED in (old, new) and old != new):
        return True
    return new == READY and old in (INITIALIZING, DOWN)


def set_eligibility(txn: Transaction, command: SetNodeEligibility) -> NodeWritten:
    """Handle `SetNodeEligibility`; nothing is written if it is so already."""
    wanted = command.eligibility
    if wanted not in (ELIGIBLE, INELIGIBLE):
        raise Refusal(500, f'invalid scheduling eligibility "{wanted}"')
    stored = find_node(txn, command.node_id)
    if stored.drain_strategy is not None and wanted == ELIGIBLE:
        raise Refusal(500, "can not set node's scheduling eligibility to eligible while it is draining")
    if stored.scheduling_eligibility == wanted:
        return NodeWritten()
    node = replace(stored, scheduling_eligibility=wanted, modify_index=txn.index)
    node = with_event(txn, node, f"Node marked as {wanted} for scheduling", command.now_ns)
    txn.put(NODES, node)
    made = evaluate_nodes(txn, (node,), command.seed, command.now_ns) if wanted == ELIGIBLE else ()
    return NodeWritten(index=txn.index, node_modify_index=txn.index, eval_ids=made)


def evaluate_node(txn: Transaction, command: EvaluateNode) -> NodeWritten:
    """Handle `EvaluateNode`; `index` is 0 if the node concerns no job."""
    node = find_node(txn, command.node_id)
    made = evaluate_nodes(txn, (node,), command.seed, command.now_ns)
    return NodeWritten(index=txn.index if made else 0, node_modify_index=node.modify_index, eval_ids=made)


def purge(txn: Transaction, command: PurgeNode) -> NodeWritten:
    """Handle `PurgeNode`."""
    node = find_node(txn, command.node_id)
    txn.delete(NODES, node.id)
    delete_of_node(txn, node.id)
    made = evaluate_nodes(txn, (node,), command.seed, command.now_ns)
    return NodeWritten(index=txn.index, node_modify_index=txn.index, eval_ids=made)
