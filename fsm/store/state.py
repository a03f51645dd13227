"""One state of the store: persistent maps, so that keeping an old one costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from immutables import Map

from yurt.fsm.store.schema import TABLES

Rows = Map[Any, Any]
Index = Map[Any, Map[Any, bool]]


@dataclass(frozen=True, slots=True)
class State:
    """Rows and secondary indexes by table name, the index of the last write to each table, and its own index."""

    index: int
    rows: dict[str, Rows]
    indexes: dict[str, dict[str, Index]]
    table_indexes: dict[str, int]


def empty_state() -> State:
    """The state of a store in which nothing was ever written."""
    return State(
        index=0,
        rows={table.name: Map() for table in TABLES},
        indexes={table.name: {name: Map() for name in table.indexes} for table in TABLES},
        table_indexes={table.name: table.floor for table in TABLES},
    )
