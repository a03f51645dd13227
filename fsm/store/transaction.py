"""A transaction: reads of what is stored and of its own writes, then all of them or none."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

from yurt.fsm.store.changes import Change
from yurt.fsm.store.orders import LiveOrders
from yurt.fsm.store.postings import with_key, without_key
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import Table
from yurt.fsm.store.state import State, TableState

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class Transaction(Reader):
    """The work of one command. Rows are never changed in place: `put` stores a new row under its key.

    Nothing of it is in the store before the store commits it; to roll back is to forget it.
    """

    __slots__ = ("_firsts", "_touched")

    def __init__(self, state: State, index: int, orders: LiveOrders) -> None:
        assert index > state.index, "an index never goes back"
        super().__init__(index, state.tables.copy(), orders)
        self._touched: dict[str, TableState] = {}
        self._firsts: dict[tuple[str, Any], tuple[Table[Any, Any], Any, Any]] = {}

    def put(self, table: Table[K, R], row: R) -> None:
        """Store a row under its key, in place of the one that has the key."""
        key = table.key(row)
        state = self._touched.get(table.name) or self._open(table)
        rows = state.rows
        old = rows.get(key)
        state.rows = rows.set(key, row)
        if table.indexes:
            _reindex(state, table, key, old, row)
        self._firsts.setdefault((table.name, key), (table, key, old))

    def delete(self, table: Table[K, R], key: K) -> bool:
        """Remove the row of that key; False, and nothing is touched, if there is none."""
        old = self._tables[table.name].rows.get(key)
        if old is None:
            return False
        state = self._touched.get(table.name) or self._open(table)
        state.rows = state.rows.delete(key)
        _reindex(state, table, key, old, None)
        self._firsts.setdefault((table.name, key), (table, key, old))
        return True

    def touch(self, table: Table[Any, Any]) -> None:
        """Move the table's index to this command's without writing a row; wakes those who watch the whole table."""
        if table.name not in self._touched:
            self._open(table)

    def _open(self, table: Table[Any, Any]) -> TableState:
        state = self._tables[table.name].copy()
        state.index = self.index
        self._tables[table.name] = self._touched[table.name] = state
        return state

    @property
    def touched(self) -> tuple[str, ...]:
        """The names of the tables whose index moves, in the order in which they were first written to."""
        return tuple(self._touched)

    def changes(self) -> list[Change]:
        """What became of each row that was written."""
        found = []
        for table, key, old in self._firsts.values():
            new = self._tables[table.name].rows.get(key)
            if new is not None or old is not None:
                found.append(Change(table, key, old, new))
        return found

    def state(self) -> State:
        """The state with the writes in it. The transaction must write no more."""
        return State(self.index, self._tables)


def _reindex(state: TableState, table: Table[Any, Any], key: Any, old: Any, new: Any) -> None:
    for name, value_of in table.indexes.items():
        before = None if old is None else value_of(old)
        after = None if new is None else value_of(new)
        if before == after:
            continue
        index = state.indexes[name]
        if before is not None:
            fewer = without_key(index[before], key)
            index = index.delete(before) if fewer is None else index.set(before, fewer)
        if after is not None:
            index = index.set(after, with_key(index.get(after), key))
        state.indexes[name] = index
