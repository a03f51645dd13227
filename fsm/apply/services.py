"""Services that tasks offer: stored while their allocation lives (spec node-agent §13, cluster §8)."""

from __future__ import annotations

from yurt.fsm.commands_base import Done
from yurt.fsm.commands_services import DeleteServices, UpsertServices
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ALLOCATIONS, SERVICE_REGISTRATIONS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace

NOT_FOUND = "service registration not found"


def upsert(txn: Transaction, command: UpsertServices) -> Done:
    """Handle `UpsertServices`; what is stored already as it is given stays untouched."""
    written = False
    for given in command.services:
        allocation = txn.get(ALLOCATIONS, given.alloc_id)
        if allocation is None or allocation.is_client_terminal:
            continue
        stored = txn.get(SERVICE_REGISTRATIONS, given.id)
        created = stored.create_index if stored is not None else txn.index
        if stored is not None and stored == replace(given, create_index=created, modify_index=stored.modify_index):
            continue
        txn.put(SERVICE_REGISTRATIONS, replace(given, create_index=created, modify_index=txn.index))
        written = True
    return Done(index=txn.index, updated=written)


def delete(txn: Transaction, command: DeleteServices) -> Done:
    """Handle `DeleteServices`."""
    for service_id in command.ids:
        stored = txn.get(SERVICE_REGISTRATIONS, service_id)
        if command.name:
            if stored is None or (stored.namespace, stored.service_name) != (command.namespace, command.name):
                raise Refusal(500, NOT_FOUND)
        elif stored is None:
            continue
        txn.delete(SERVICE_REGISTRATIONS, service_id)
    return Done(index=txn.index)


def delete_of_allocation(txn: Transaction, alloc_id: str) -> None:
    """The allocation has ended: nothing of it is offered any more."""
    for one in list(txn.find(SERVICE_REGISTRATIONS, "alloc", alloc_id)):
        txn.delete(SERVICE_REGISTRATIONS, one.id)


def delete_of_node(txn: Transaction, node_id: str) -> None:
    """The node is gone: nothing of it is offered any more."""
    for one in list(txn.find(SERVICE_REGISTRATIONS, "node", node_id)):
        txn.delete(SERVICE_REGISTRATIONS, one.id)
