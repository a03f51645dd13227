"""One state of the store: persistent maps, so that keeping an old one costs nothing."""

from __future__ import annotations

from typing import Any

from immutables import Map

from yurt.fsm.store.postings import Posting
from yurt.fsm.store.schema import TABLES, Table

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


def empty_table(table: Table[Any, Any]) -> TableState:
    """The state of a table in which nothing was ever written."""
    return TableState(Map(), {name: Map() for name in table.indexes}, table.floor)


def empty_state() -> State:
    """The state of a store in which nothing was ever written."""
    return State(0, {table.name: empty_table(table) for table in TABLES})
