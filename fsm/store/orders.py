"""Live orders: the keys of the tables that are listed, kept sorted while the newest state moves on.

They are mutable and belong to the newest state alone. A reader asks with the rows it reads: if those are not the newest
ones any more it gets nothing and sorts for itself, so that no reader ever sees a later state's keys.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any
from weakref import WeakSet

from sortedcontainers import SortedList

from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import TABLES, Table
from yurt.fsm.store.state import Rows, State

_PIECE, _SAMPLES = 1024, 16  # places of a piece, and how many of them are looked at to find where it ends


class Pin:
    """A reader that goes on with its state while the newest one moves on: every key and place removed since.

    The keys of the reader's state are among the live ones and these, so that it needs no sorting of its own.
    """

    __slots__ = ("__weakref__", "_removed")

    def __init__(self) -> None:
        self._removed: dict[tuple[str, str | None], SortedList] = {}

    def note(self, table: str, order: str | None, place: Any) -> None:
        """Keep a removed key (`order` None) or place."""
        places = self._removed.get((table, order))
        if places is None:
            places = self._removed[table, order] = SortedList()
        places.add(place)

    def removed(self, table: str, order: str | None) -> SortedList | None:
        """The removed keys or places of a table, in order; None if there are none."""
        return self._removed.get((table, order))


class LiveOrders:
    """For each listed table its keys in order, and its rows' places in every other order that the table declares."""

    __slots__ = ("_keys", "_newest", "_pins", "_places")

    def __init__(self, state: State, keys: Mapping[str, list[Any]] | None = None, *, in_pieces: bool = True) -> None:
        """Sort the rows of a state; `keys` has the tables' keys in order, if they are known.

        `in_pieces`: other threads go on meanwhile. All at once it takes half the time.
        """
        sort = _sorted if in_pieces else SortedList
        self._newest = {name: table.rows for name, table in state.tables.items()}
        self._pins: WeakSet[Pin] = WeakSet()
        known = keys or {}
        self._keys = {
            table.name: SortedList(known[table.name]) if table.name in known else sort(self._newest[table.name])
            for table in TABLES
            if table.listed
        }
        self._places = {
            (table.name, order): sort(map(place_of, self._newest[table.name].values()))
            for table in TABLES
            for order, place_of in table.orders.items()
        }

    def follow(self, changes: Iterable[Change], touched: Iterable[str], state: State) -> None:
        """Take over the changes and the touched tables of the command that led to the newest state."""
        for name in touched:
            self._newest[name] = state.tables[name].rows
        for table, key, old, new in changes:
            keys = self._keys.get(table.name)
            if keys is not None:
                if old is None:
                    keys.add(key)
                elif new is None:
                    keys.remove(key)
                    for pin in self._pins:
                        pin.note(table.name, None, key)
            for order, place_of in table.orders.items():
                before = None if old is None else place_of(old)
                after = None if new is None else place_of(new)
                if before != after:
                    places = self._places[table.name, order]
                    if before is not None:
                        places.remove(before)
                        for pin in self._pins:
                            pin.note(table.name, order, before)
                    if after is not None:
                        places.add(after)

    def of(self, table: Table[Any, Any], rows: Rows, order: str | None = None) -> SortedList | None:
        """The keys of those rows (or their places in an order), if they are the newest rows of a listed table."""
        return self.newest(table, order) if self._newest[table.name] is rows else None

    def newest(self, table: Table[Any, Any], order: str | None = None) -> SortedList | None:
        """The keys (or places in an order) of the newest rows; None for a table that is not listed."""
        return self._keys.get(table.name) if order is None else self._places[table.name, order]

    def pin(self, rows: Iterable[tuple[str, Rows]]) -> Pin | None:
        """Follow the removals from now on, for a reader of these rows by table; None if they are not the newest."""
        if any(self._newest[name] is not own for name, own in rows):
            return None
        pin = Pin()
        self._pins.add(pin)
        return pin


def _sorted(places: Iterable[Any]) -> SortedList:
    """In pieces: one long sort would hold the interpreter from the other threads for its whole time."""
    unsorted = list(places)
    bounds = sorted(unsorted[:: _PIECE // _SAMPLES])[_SAMPLES::_SAMPLES]
    pieces: list[list[Any]] = [[] for _ in range(len(bounds) + 1)]
    for place in unsorted:
        pieces[bisect(bounds, place)].append(place)
    return SortedList(chain.from_iterable([sorted(piece) for piece in pieces]))
