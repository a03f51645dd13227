"""A transaction: reads of what is stored and of its own writes, then all of them or none."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, TypeVar

from immutables import Map

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import Table
from yurt.fsm.store.state import State

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

_NOTHING: Map[Any, bool] = Map()


class Change(NamedTuple):
    """A row that a command wrote (`old` None: new; `new` None: deleted)."""

    table: Table[Any, Any]
    key: Any
    old: Any
    new: Any


class Transaction(Reader):
    """The work of one command. Rows are never changed in place: `put` stores a new row under its key."""

    __slots__ = ("_at", "_indexes", "_rows_by_table", "_table_indexes", "changes")

    def __init__(self, state: State, index: int) -> None:
        assert index > state.index, "an index never goes back"
        self._at = index
        self._rows_by_table = dict(state.rows)
        self._indexes = state.indexes
        self._table_indexes = state.table_indexes
        self.changes: list[Change] = []

    @property
    def index(self) -> int:
        """The index of the command in work."""
        return self._at

    def _rows(self, name: str) -> Any:
        return self._rows_by_table[name]

    def _index(self, table: str, name: str) -> Any:
        return self._indexes[table][name]

    def table_index(self, table: Table[Any, Any]) -> int:
        """The index of the last write to a table."""
        return self._table_indexes[table.name]

    def put(self, table: Table[K, R], row: R) -> None:
        """Store a row under its key, in place of the one that has the key."""
        key = table.key(row)
        rows = self._rows_by_table[table.name]
        old = rows.get(key)
        self._rows_by_table[table.name] = rows.set(key, row)
        self._reindex(table, key, old, row)
        self.touch(table)
        self.changes.append(Change(table, key, old, row))

    def delete(self, table: Table[K, R], key: K) -> bool:
        """Remove the row of that key; False if there is none."""
        rows = self._rows_by_table[table.name]
        old = rows.get(key)
        if old is None:
            return False
        self._rows_by_table[table.name] = rows.delete(key)
        self._reindex(table, key, old, None)
        self.touch(table)
        self.changes.append(Change(table, key, old, None))
        return True

    def touch(self, table: Table[Any, Any]) -> None:
        """Move the table's index to this command's without writing a row."""
        if self._table_indexes.get(table.name) != self._at:
            self._table_indexes = {**self._table_indexes, table.name: self._at}

    def _reindex(self, table: Table[Any, Any], key: Any, old: Any, new: Any) -> None:
        for name, value_of in table.indexes.items():
            before = None if old is None else value_of(old)
            after = None if new is None else value_of(new)
            if before == after:
                continue
            index = self._indexes[table.name][name]
            if before is not None:
                keys = index[before].delete(key)
                index = index.set(before, keys) if keys else index.delete(before)
            if after is not None:
                index = index.set(after, index.get(after, _NOTHING).set(key, True))
            self._indexes = {**self._indexes, table.name: {**self._indexes[table.name], name: index}}

    def state(self) -> State:
        """The state with the writes in it."""
        return State(self._at, self._rows_by_table, self._indexes, self._table_indexes)
