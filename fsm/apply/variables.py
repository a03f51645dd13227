"""Variables, their locks, and root keys (spec cluster §11, §12)."""

from __future__ import annotations

from yurt.fsm.commands_base import Done
from yurt.fsm.commands_variables import (
    DeleteRootKey,
    DeleteVariable,
    LockVariable,
    UnlockVariable,
    UpsertRootKey,
    UpsertVariable,
    VariableWritten,
    WrapRootKeys,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ROOT_KEYS, VARIABLES, WRAPPED_KEYS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.variable import ACTIVE, INACTIVE, Variable, WrappedKey

WRONG_LOCK, NO_LOCK, NO_VARIABLE = (
    "attempting to modify locked variable",
    "variable doesn't hold a lock",
    "variable doesn't exist",
)


def upsert(txn: Transaction, command: UpsertVariable) -> VariableWritten:
    """Handle `UpsertVariable`."""
    given = command.variable
    stored = txn.get(VARIABLES, (given.namespace, given.path))
    if refused := _refused(txn, stored, command.cas, command.lock_id):
        return refused
    return _put(txn, given, stored, command.now_ns)


def _refused(txn: Transaction, stored: Variable | None, cas: int | None, lock_id: str) -> VariableWritten | None:
    """Return the refusal if the variable is locked under another ID or not at index `cas` (0: absent), else None."""
    if stored is not None and stored.lock is not None and stored.lock.id != lock_id:
        return VariableWritten(index=txn.index, refused=True)
    if cas is not None and cas != (stored.modify_index if stored is not None else 0):
        return VariableWritten(index=txn.index, refused=True, conflict=stored)
    return None


def _put(txn: Transaction, given: Variable, stored: Variable | None, now_ns: int) -> VariableWritten:
    row = replace(
        given,
        lock=stored.lock if stored is not None and given.lock is None else given.lock,
        free_at_ns=stored.free_at_ns if stored is not None else 0,
        create_time=stored.create_time if stored is not None else now_ns,
        modify_time=now_ns,
        create_index=stored.create_index if stored is not None else txn.index,
        modify_index=txn.index,
    )
    txn.put(VARIABLES, row)
    return VariableWritten(index=txn.index, variable=row)


def delete(txn: Transaction, command: DeleteVariable) -> VariableWritten:
    """Handle `DeleteVariable`."""
    key = (command.namespace, command.path)
    stored = txn.get(VARIABLES, key)
    if refused := _refused(txn, stored, command.cas, command.lock_id):
        return refused
    txn.delete(VARIABLES, key)
    return VariableWritten(index=txn.index)


def lock(txn: Transaction, command: LockVariable) -> VariableWritten:
    """Handle `LockVariable`."""
    given = command.variable
    assert given.lock is not None, "that is what the command is for"
    stored = txn.get(VARIABLES, (given.namespace, given.path))
    if stored is None:
        return _put(txn, given, None, command.now_ns)
    if (stored.lock is not None and stored.lock.id != given.lock.id) or command.now_ns < stored.free_at_ns:
        return VariableWritten(index=txn.index, refused=True)
    kept = given if command.with_items else replace(given, key_id=stored.key_id, data=stored.data)
    return _put(txn, kept, replace(stored, free_at_ns=0), command.now_ns)


def unlock(txn: Transaction, command: UnlockVariable) -> VariableWritten:
    """Handle `UnlockVariable`."""
    stored = txn.get(VARIABLES, (command.namespace, command.path))
    if stored is None:
        raise Refusal(404, NO_VARIABLE)
    if stored.lock is None:
        raise Refusal(409, NO_LOCK)
    if stored.lock.id != command.lock_id:
        raise Refusal(409, WRONG_LOCK)
    free_at_ns = command.now_ns + stored.lock.lock_delay if command.expired else 0
    row = replace(stored, lock=None, free_at_ns=free_at_ns, modify_time=command.now_ns, modify_index=txn.index)
    txn.put(VARIABLES, row)
    return VariableWritten(index=txn.index, variable=row)


def upsert_root_key(txn: Transaction, command: UpsertRootKey) -> Done:
    """Handle `UpsertRootKey`."""
    given = command.key
    stored = txn.get(ROOT_KEYS, given.key_id)
    if given.state == ACTIVE:
        for other in list(txn.scan(ROOT_KEYS)):
            if other.state == ACTIVE and other.key_id != given.key_id:
                txn.put(ROOT_KEYS, replace(other, state=INACTIVE, modify_index=txn.index))
    created = stored.create_index if stored is not None else txn.index
    txn.put(ROOT_KEYS, replace(given, create_index=created, modify_index=txn.index))
    if command.wrapped is not None:
        _put_wrapped(txn, replace(command.wrapped, key_id=given.key_id))
    return Done(index=txn.index)


def wrap_root_keys(txn: Transaction, command: WrapRootKeys) -> Done:
    """Handle `WrapRootKeys`."""
    kept = [wrapped for wrapped in command.keys if txn.get(ROOT_KEYS, wrapped.key_id) is not None]
    for wrapped in kept:
        _put_wrapped(txn, wrapped)
    return Done(index=txn.index, updated=bool(kept))


def _put_wrapped(txn: Transaction, wrapped: WrappedKey) -> None:
    stored = txn.get(WRAPPED_KEYS, wrapped.key_id)
    created = stored.create_index if stored is not None else txn.index
    txn.put(WRAPPED_KEYS, replace(wrapped, create_index=created, modify_index=txn.index))


def delete_root_key(txn: Transaction, command: DeleteRootKey) -> Done:
    """Handle `DeleteRootKey`."""
    stored = txn.get(ROOT_KEYS, command.key_id)
    if stored is None:
        raise Refusal(500, "root key not found")
    if stored.state == ACTIVE:
        raise Refusal(500, "active root key cannot be deleted - call rotate first")
    if not command.force and txn.has(VARIABLES, "key", command.key_id):
        raise Refusal(500, "root key in use, cannot delete")
    txn.delete(ROOT_KEYS, command.key_id)
    if txn.get(WRAPPED_KEYS, command.key_id) is not None:
        txn.delete(WRAPPED_KEYS, command.key_id)
    return Done(index=txn.index)
