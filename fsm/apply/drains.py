"""Drains: begun, changed, taken back, complete (spec scheduling §18)."""

from __future__ import annotations

from yurt.fsm.apply.node_evaluations import evaluate_nodes
from yurt.fsm.apply.nodes import find_node, with_event
from yurt.fsm.commands_base import Done
from yurt.fsm.commands_nodes import CompleteDrains, DrainNode, NodeWritten
from yurt.fsm.store.schema import NODES
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.node import ELIGIBLE, INELIGIBLE, LastDrain, Node
from yurt.fsm.structs.times import SECOND, to_rfc3339

DRAINING, COMPLETE, CANCELED = "draining", "complete", "canceled"


def drain(txn: Transaction, command: DrainNode) -> NodeWritten:
    """Handle `DrainNode`."""
    stored = find_node(txn, command.node_id)
    node = _ended(txn, stored, command) if command.strategy is None else _begun(txn, stored, command)
    txn.put(NODES, node)
    made: tuple[str, ...] = ()
    if command.strategy is None and command.mark_eligible and stored.drain_strategy is not None:
        made = evaluate_nodes(txn, (node,), command.seed, command.now_ns)
    return NodeWritten(index=txn.index, node_modify_index=txn.index, eval_ids=made)


def _begun(txn: Transaction, stored: Node, command: DrainNode) -> Node:
    assert command.strategy is not None
    again = stored.drain_strategy
    started = again.started_at if again is not None else command.strategy.started_at
    whole = _whole_seconds(command.now_ns)
    old = stored.last_drain if again is not None else None
    node: Node = replace(
        stored,
        drain=True,
        drain_strategy=replace(command.strategy, started_at=started),
        scheduling_eligibility=INELIGIBLE,
        last_drain=LastDrain(
            accessor_id=command.accessor_id,
            meta=command.meta if command.meta is not None or old is None else old.meta,
            started_at=old.started_at if old is not None else whole,
            status=DRAINING,
            updated_at=whole,
        ),
        modify_index=txn.index,
    )
    text = "Node drain strategy set" if again is None else "Node drain strategy updated"
    return with_event(txn, node, text, command.now_ns, subsystem="Drain")


def _ended(txn: Transaction, stored: Node, command: DrainNode) -> Node:
    last = stored.last_drain
    if stored.drain_strategy is not None:
        last = replace(
            last or LastDrain(),
            status=CANCELED,
            updated_at=_whole_seconds(command.now_ns),
            accessor_id=command.accessor_id,
            meta=command.meta if command.meta is not None else (last.meta if last else None),
        )
    node: Node = replace(
        stored,
        drain=False,
        drain_strategy=None,
        scheduling_eligibility=ELIGIBLE if command.mark_eligible else stored.scheduling_eligibility,
        last_drain=last,
        modify_index=txn.index,
    )
    if stored.drain_strategy is None:
        return node
    return with_event(txn, node, "Node drain disabled", command.now_ns, subsystem="Drain")


def complete(txn: Transaction, command: CompleteDrains) -> Done:
    """Handle `CompleteDrains`: the nodes stay ineligible."""
    for node_id in command.node_ids:
        stored = txn.get(NODES, node_id)
        if stored is None or stored.drain_strategy is None:
            continue
        last = replace(stored.last_drain or LastDrain(), status=COMPLETE, updated_at=_whole_seconds(command.now_ns))
        node = replace(stored, drain=False, drain_strategy=None, last_drain=last, modify_index=txn.index)
        details = {"deadline_reached": "true"} if node_id in command.forced else None
        event = with_event(txn, node, "Node drain complete", command.now_ns, subsystem="Drain", details=details)
        txn.put(NODES, event)
    return Done(index=txn.index)


def _whole_seconds(now_ns: int) -> str:
    return to_rfc3339(now_ns // SECOND * SECOND)
