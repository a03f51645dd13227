"""A view: one state, read while others write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from immutables import Map

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import Table


class View(Reader):
    """A consistent state that costs nothing to take, never changes and stops no writer.

    As long as the rows of a table are the newest ones, scans of it read the live orders; later they sort, unless the
    view was pinned in time.
    """

    __slots__ = ()

    def pin(self) -> bool:
        """Let scans go on in the live orders while the newest state moves on, as long as this view is kept.

        False, and scans will sort, if this state is not the newest any more. A pin costs every removal a little.
        """
        if self._pin is None and self._orders is not None:
            self._pin = self._orders.pin((name, state.rows) for name, state in self._tables.items())
        return self._pin is not None

    def unpin(self) -> None:
        """End what `pin` began."""
        self._pin = None

    def agrees(self, other: View, tables: Iterable[Table[Any, Any]]) -> bool:
        """Whether these tables are the same ones in another state: nothing was written to them in between."""
        return all(self._tables[table.name] is other._tables[table.name] for table in tables)

    def replaced_in(self, newest: View) -> list[Map[Any, Any]]:
        """Return the maps of the tables that another state has other rows of: `dissolve` takes them apart."""
        replaced = [table for name, table in self._tables.items() if table is not newest._tables[name]]
        return [rows for table in replaced for rows in (table.rows, *table.indexes.values())]

    def detached(self) -> View:
        """The same state for another thread: it sorts for itself from the start."""
        return View(self.index, self._tables, None)
