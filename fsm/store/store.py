"""The store: the newest state, its ordered keys, its watches and its encoded rows."""

from __future__ import annotations

from typing import Any

from sortedcontainers import SortedList

from yurt.fsm.store.schema import TABLES, Table
from yurt.fsm.store.state import State, empty_state
from yurt.fsm.store.transaction import Change, Transaction
from yurt.fsm.store.view import View
from yurt.fsm.store.watches import Watches
from yurt.fsm.structs.base import to_json


class Store:
    """Holds one state at a time; `begin` and `commit` move it on, one command after another."""

    def __init__(self) -> None:
        self._state = empty_state()
        self._keys: dict[str, SortedList] = {table.name: SortedList() for table in TABLES}
        self._encoded: dict[tuple[str, Any], tuple[Any, bytes]] = {}
        self.watches = Watches()

    @property
    def index(self) -> int:
        """The index of the newest state."""
        return self._state.index

    def view(self) -> View:
        """The newest state."""
        return View(self._state, self._live_keys)

    def begin(self, index: int) -> Transaction:
        """A transaction for the command of that index."""
        return Transaction(self._state, index)

    def commit(self, transaction: Transaction) -> list[Change]:
        """Make the transaction's state the newest one; wake the watches it touched."""
        before = self._state
        self._state = transaction.state()
        changes = transaction.changes
        for table, key, old, new in changes:
            if old is None and new is not None:
                self._keys[table.name].add(key)
            elif new is None:
                self._keys[table.name].discard(key)
            self._encoded.pop((table.name, key), None)
        if changes:
            self._rid_duplicates(changes)
        touched = (
            [] if before.table_indexes is self._state.table_indexes else self._touched_without_rows(before, changes)
        )
        self.watches.wake(self._state.index, changes, touched)
        return changes

    def skip(self, index: int) -> None:
        """Use up an index without a change (a refused command)."""
        self._state = State(index, self._state.rows, self._state.indexes, self._state.table_indexes)

    def replace(self, state: State) -> None:
        """Take over a restored state; everyone who waits is woken."""
        self._state = state
        self._keys = {table.name: SortedList(state.rows[table.name]) for table in TABLES}
        self._encoded.clear()
        self.watches.wake_all(state.index)

    def encoded(self, table: Table[Any, Any], row: Any) -> bytes:
        """The row's JSON, made once and kept as long as the row is the stored one."""
        key = (table.name, table.key(row))
        kept = self._encoded.get(key)
        if kept is not None and kept[0] is row:
            return kept[1]
        body = to_json(row)
        if self._state.rows[table.name].get(key[1]) is row:
            self._encoded[key] = (row, body)
        return body

    def _live_keys(self, state: State, name: str) -> SortedList | None:
        return self._keys[name] if state is self._state else None

    def _rid_duplicates(self, changes: list[Change]) -> None:
        """A key that a command deleted and put again, or put and deleted, stands once or not at all."""
        if len(changes) == len({(change.table.name, change.key) for change in changes}):
            return
        for table, key, _, _ in changes:
            keys = self._keys[table.name]
            while keys.count(key) > (key in self._state.rows[table.name]):
                keys.remove(key)
            if key in self._state.rows[table.name] and key not in keys:
                keys.add(key)

    def _touched_without_rows(self, before: State, changes: list[Change]) -> list[str]:
        written = {change.table.name for change in changes}
        now = self._state.table_indexes
        return [name for name, index in now.items() if index != before.table_indexes[name] and name not in written]
