"""Namespaces, the scheduler configuration, summaries (spec cluster §7, §11)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.commands import (
    DeleteNamespace,
    DeleteNodePool,
    Done,
    SetAutopilotConfiguration,
    SetSchedulerConfiguration,
    UpsertNamespace,
    UpsertNodePool,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.multierror import multierror
from yurt.fsm.store.schema import (
    AUTOPILOT_CONFIG,
    JOBS,
    NAMESPACES,
    NODE_POOLS,
    SCHEDULER_CONFIG,
    VARIABLES,
    Table,
)
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import DEAD

BUILT_IN_POOLS = ("all", "default")


def upsert_namespace(txn: Transaction, command: UpsertNamespace) -> Done:
    """Handle `UpsertNamespace`: the whole object is replaced."""
    given = command.namespace
    stored = txn.get(NAMESPACES, given.name)
    row = replace(
        given,
        hash=given.content_hash(),
        create_index=stored.create_index if stored else txn.index,
        modify_index=txn.index,
    )
    txn.put(NAMESPACES, row)
    return Done(index=txn.index)


def delete_namespace(txn: Transaction, command: DeleteNamespace) -> Done:
    """Handle `DeleteNamespace`."""
    if command.name == "default":
        raise Refusal(500, "can not delete default namespace")
    if txn.get(NAMESPACES, command.name) is None:
        raise Refusal(500, "namespace not found")
    errors = []
    jobs = txn.scan(JOBS, prefix=(command.name, ""))
    if any(job.namespace == command.name and job.status != DEAD for job in jobs):
        errors.append(f'namespace "{command.name}" has non-terminal jobs in regions: [{command.region}]')
    if next(txn.scan(VARIABLES, prefix=(command.name, "")), None) is not None:
        errors.append(f'namespace "{command.name}" has variables associated with it in regions: [{command.region}]')
    if errors:
        raise Refusal(500, multierror(errors))
    txn.delete(NAMESPACES, command.name)
    return Done(index=txn.index)


def upsert_node_pool(txn: Transaction, command: UpsertNodePool) -> Done:
    """Handle `UpsertNodePool`; the built-in pools stay as they are."""
    given = command.pool
    if given.name in BUILT_IN_POOLS:
        raise Refusal(400, f'modifying node pool "{given.name}" is not allowed')
    stored = txn.get(NODE_POOLS, given.name)
    created = stored.create_index if stored else txn.index
    txn.put(NODE_POOLS, replace(given, create_index=created, modify_index=txn.index))
    return Done(index=txn.index)


def delete_node_pool(txn: Transaction, command: DeleteNodePool) -> Done:
    """Handle `DeleteNodePool`."""
    if command.name in BUILT_IN_POOLS:
        raise Refusal(400, f'deleting node pool "{command.name}" is not allowed')
    if txn.get(NODE_POOLS, command.name) is None:
        raise Refusal(500, f"node pool {command.name} not found")
    if any(job.node_pool == command.name and job.status != DEAD for job in txn.scan(JOBS)):
        raise Refusal(
            500, multierror([f'node pool "{command.name}" has non-terminal jobs in regions: [{command.region}]'])
        )
    txn.delete(NODE_POOLS, command.name)
    return Done(index=txn.index)


def set_scheduler_configuration(txn: Transaction, command: SetSchedulerConfiguration) -> Done:
    """Handle `SetSchedulerConfiguration`; `updated` is False if the check-and-set index is another."""
    return _set_configuration(txn, SCHEDULER_CONFIG, command)


def set_autopilot_configuration(txn: Transaction, command: SetAutopilotConfiguration) -> Done:
    """Handle `SetAutopilotConfiguration`, in the same way."""
    return _set_configuration(txn, AUTOPILOT_CONFIG, command)


def _set_configuration(
    txn: Transaction, table: Table[str, Any], command: SetSchedulerConfiguration | SetAutopilotConfiguration
) -> Done:
    stored = txn.get(table, "")
    if command.cas is not None and command.cas != (stored.modify_index if stored else 0):
        return Done(index=txn.index, updated=False)
    created = stored.create_index if stored else txn.index
    txn.put(table, replace(command.configuration, create_index=created, modify_index=txn.index))
    return Done(index=txn.index)
