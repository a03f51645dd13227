"""A transaction: reads of what is stored and of its own writes, then all of them or none."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

from yurt.fsm.store.changes import Change
from yurt.fsm.store.orders import LiveOrders
from yurt.fsm.store.postings import changed, with_one
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import Table
from yurt.fsm.store.state import Index, State, TableState

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

DIRECT_MAX = 8  # writes of a transaction to one table


class Transaction(Reader):
    """The work of one command. Rows are never changed in place: `put` stores a new row under its key.

    Nothing of it is in the store before the store commits it; to roll back is to forget it.
    """

    __slots__ = ("_drafts", "_firsts")

    def __init__(self, state: State, index: int, orders: LiveOrders) -> None:
        assert index > state.index, "an index never goes back"
        super().__init__(index, state.tables.copy(), orders)
        self._drafts: dict[str, _Draft] = {}
        self._firsts: dict[tuple[str, Any], tuple[Table[Any, Any], Any, Any]] = {}

    def get(self, table: Table[K, R], key: K) -> R | None:
        """The row of that key, as it was written last."""
        draft = self._drafts.get(table.name)
        row: R | None = self._tables[table.name].rows.get(key) if draft is None else draft.get(key)
        return row

    def put(self, table: Table[K, R], row: R) -> None:
        """Store a row under its key, in place of the one that has the key."""
        key = table.key(row)
        draft = self._drafts.get(table.name) or self._open(table)
        self._firsts.setdefault((table.name, key), (table, key, draft.write(key, row)))

    def delete(self, table: Table[K, R], key: K) -> bool:
        """Remove the row of that key; False, and nothing is touched, if there is none."""
        if self.get(table, key) is None:
            return False
        draft = self._drafts.get(table.name) or self._open(table)
        self._firsts.setdefault((table.name, key), (table, key, draft.write(key, None)))
        return True

    def touch(self, table: Table[Any, Any]) -> None:
        """Move the table's index to this command's without writing a row; wakes those who watch the whole table."""
        if table.name not in self._drafts:
            self._open(table)

    def _open(self, table: Table[Any, Any]) -> _Draft:
        state = self._tables[table.name].copy()
        state.index = self.index
        self._tables[table.name] = state
        draft = self._drafts[table.name] = _Draft(table, state)
        return draft

    def _state(self, table: str) -> TableState:
        draft = self._drafts.get(table)
        if draft is not None:
            draft.settle()
        return self._tables[table]

    @property
    def touched(self) -> tuple[str, ...]:
        """The names of the tables whose index moves, in the order in which they were first written to."""
        return tuple(self._drafts)

    def changes(self) -> list[Change]:
        """Return the change of each row that was written, none for a row created and deleted again."""
        found = []
        for table, key, old in self._firsts.values():
            new = self.get(table, key)
            if new is not None or old is not None:
                found.append(Change(table, key, old, new))
        return found

    def state(self) -> State:
        """The state with the writes in it. The transaction must write no more."""
        for draft in self._drafts.values():
            draft.settle()
        return State(self.index, self._tables)


class _Draft:
    """A transaction's writes to a table. The first ones go into the maps one by one, as few commands have more.

    Later ones are kept aside, and taken into the maps at once when those are read: to change many keys of a persistent
    map at once copies each of its nodes once, not once a key.
    """

    __slots__ = ("_direct", "_members", "_state", "_table", "_written")

    def __init__(self, table: Table[Any, Any], state: TableState) -> None:
        self._table, self._state = table, state
        self._direct = DIRECT_MAX
        self._written: dict[Any, Any] = {}  # None is deleted
        self._members: dict[str, dict[Any, dict[Any, bool]]] = {}

    def get(self, key: Any) -> Any:
        """The row of that key."""
        if self._written and key in self._written:
            return self._written[key]
        return self._state.rows.get(key)

    def write(self, key: Any, row: Any) -> Any:
        """Note a row, None to delete it; answer the one that was there."""
        if self._direct:
            self._direct -= 1
            return self._write_through(key, row)
        old = self.get(key)
        self._written[key] = row
        for name, value_of in self._table.indexes.items():
            before = None if old is None else value_of(old)
            after = None if row is None else value_of(row)
            if before != after:
                members = self._members.setdefault(name, {})
                if before is not None:
                    members.setdefault(before, {})[key] = False
                if after is not None:
                    members.setdefault(after, {})[key] = True
        return old

    def _write_through(self, key: Any, row: Any) -> Any:
        state = self._state
        rows = state.rows
        old = rows.get(key)
        if row is not None:
            state.rows = rows.set(key, row)
        elif old is not None:
            state.rows = rows.delete(key)
        for name, value_of in self._table.indexes.items():
            before = None if old is None else value_of(old)
            after = None if row is None else value_of(row)
            if before == after:
                continue
            index = state.indexes[name]
            if before is not None:
                fewer = with_one(index[before], key, is_member=False)
                index = index.delete(before) if fewer is None else index.set(before, fewer)
            if after is not None:
                more = with_one(index.get(after), key, is_member=True)
                assert more is not None, "it has the key"
                index = index.set(after, more)
            state.indexes[name] = index
        return old

    def settle(self) -> None:
        """Take all that is aside into the maps."""
        if not self._written:
            return
        rows = self._state.rows.mutate()
        for key, row in self._written.items():
            if row is None:
                rows.pop(key, None)
            else:
                rows.set(key, row)
        self._state.rows = rows.finish()
        for name, members in self._members.items():
            self._state.indexes[name] = _with_members(self._state.indexes[name], members)
        self._written, self._members = {}, {}


def _with_members(index: Index, members: dict[Any, dict[Any, bool]]) -> Index:
    mutation = index.mutate()
    for value, membership in members.items():
        posting = changed(index.get(value), membership)
        if posting is None:
            mutation.pop(value, None)
        else:
            mutation.set(value, posting)
    return mutation.finish()
