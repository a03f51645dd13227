"""The log's vocabulary of variables and root keys (spec cluster §11, §12)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from yurt.fsm.commands_base import Command
from yurt.fsm.structs.variable import RootKey, Variable, WrappedKey

WRAPPED_SINCE = 6  # root keys in the state, wrapped


class _Command(Command, frozen=True, kw_only=True, tag=True):
    """A command of the fourth version of the vocabulary."""

    since: ClassVar[int] = 4


class UpsertVariable(_Command, frozen=True, kw_only=True):
    """Store a variable; with `cas` only if the stored one has that modify index (0: if there is none)."""

    variable: Variable
    cas: int | None = None
    lock_id: str = ""


class DeleteVariable(_Command, frozen=True, kw_only=True):
    """Delete a variable, if it is there."""

    namespace: str
    path: str
    cas: int | None = None
    lock_id: str = ""


class LockVariable(_Command, frozen=True, kw_only=True):
    """Take the lock that the variable has; its items are stored only if `with_items` or if it is new."""

    variable: Variable
    with_items: bool = False


class UnlockVariable(_Command, frozen=True, kw_only=True):
    """Give a lock back. `expired`: its time ran out, so that the next one has to wait for the lock's delay."""

    namespace: str
    path: str
    lock_id: str
    expired: bool = False


class UpsertRootKey(_Command, frozen=True, kw_only=True):
    """Store a root key, with its wrapped form if it is new; an active one makes the active one before it inactive."""

    key: RootKey
    wrapped: WrappedKey | None = None

    def needs(self) -> int:
        """Wrapped forms came with version 6."""
        return self.since if self.wrapped is None else max(self.since, WRAPPED_SINCE)


class WrapRootKeys(Command, frozen=True, kw_only=True, tag=True):
    """Store the wrapped form of root keys, in place of the one before; keys that are gone are left out."""

    since: ClassVar[int] = WRAPPED_SINCE
    keys: tuple[WrappedKey, ...] = ()


class DeleteRootKey(_Command, frozen=True, kw_only=True):
    """Delete a root key that nothing is encrypted with, unless `force`."""

    key_id: str
    force: bool = False


class VariableWritten(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a write: the `variable` as it is stored now; or `refused`, and nothing was written.

    `conflict`: the stored variable whose index the writer did not expect; None if a lock was in the way.
    """

    index: int = 0
    refused: bool = False
    conflict: Variable | None = None
    variable: Variable | None = None


VARIABLE_COMMANDS: tuple[type[Command], ...] = (
    UpsertVariable,
    DeleteVariable,
    LockVariable,
    UnlockVariable,
    UpsertRootKey,
    WrapRootKeys,
    DeleteRootKey,
)
AnyVariableCommand = (
    UpsertVariable | DeleteVariable | LockVariable | UnlockVariable | UpsertRootKey | WrapRootKeys | DeleteRootKey
)
