"""One state of the store: persistent maps, so that keeping an old one costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from immutables import Map

from yurt.fsm.store.postings import Posting
from yurt.fsm.store.schema import TABLES, Table

_PIECE = 16
Rows = Map[Any, Any]
Index = Map[Any, Posting]


class TableState:
    """The rows of one table by key, its secondary indexes by name, and the index of the last write to it.

    A transaction copies the state of a table before it writes; nothing changes one that was committed.
    """

    __slots__ = ("index", "indexes", "rows")

    def __init__(self, rows: Rows, indexes: dict[str, Index], index: int) -> None:
        self.rows = rows
        self.indexes = indexes
        self.index = index

    def copy(self) -> TableState:
        """One to be written to; costs nothing, whatever the number of rows."""
        return TableState(self.rows, self.indexes.copy(), self.index)


class State:
    """The state of every table by name, and the index of the command that led to it. Never changed."""

    __slots__ = ("index", "tables")

    def __init__(self, index: int, tables: dict[str, TableState]) -> None:
        self.index = index
        self.tables = tables


def dissolve(maps: list[Map[Any, Any]]) -> Iterator[None]:
    """Take maps that nobody else needs apart, key by key, and give way after each piece; the list is emptied.

    A large state that is dropped at once would hold everything up for as long as it takes to free all its rows.
    """
    while maps:
        taken = maps.pop()
        keys = list(taken)
        rest = taken.mutate()
        del taken
        while keys:
            rest.pop(keys.pop(), None)
            if not len(keys) % _PIECE:
                yield


def maps_of(state: State) -> list[Map[Any, Any]]:
    """Every map of a state, rows last."""
    return [rows for table in state.tables.values() for rows in (table.rows, *table.indexes.values())]


def empty_table(table: Table[Any, Any]) -> TableState:
    """The state of a table in which nothing was ever written."""
    return TableState(Map(), {name: Map() for name in table.indexes}, table.floor)


def empty_state() -> State:
    """The state of a store in which nothing was ever written."""
    return State(0, {table.name: empty_table(table) for table in TABLES})
