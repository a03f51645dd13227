"""A view: one state, read while others write."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from sortedcontainers import SortedList

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import Table
from yurt.fsm.store.state import State

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class View(Reader):
    """A consistent state that costs nothing to take and stops no writer.

    While it is the newest state its keys are listed from the live ordered lists; an older view sorts its keys.
    """

    __slots__ = ("_live_keys", "state")

    def __init__(self, state: State, live_keys: Callable[[State, str], SortedList | None]) -> None:
        self.state = state
        self._live_keys = live_keys

    @property
    def index(self) -> int:
        """The index that the view is at."""
        return self.state.index

    def table_index(self, table: Table[Any, Any]) -> int:
        """The index of the last write to a table, 0 if there was none."""
        return self.state.table_indexes[table.name]

    def _rows(self, name: str) -> Any:
        return self.state.rows[name]

    def _index(self, table: str, name: str) -> Any:
        return self.state.indexes[table][name]

    def keys(self, table: Table[K, R], *, start: K | None = None, reverse: bool = False) -> Iterator[K]:
        """The keys in order, from `start` on (included). To be used up before the next command is applied."""
        live = self._live_keys(self.state, table.name)
        if live is None:
            return super().keys(table, start=start, reverse=reverse)
        if reverse:
            return iter(live.irange(maximum=start, reverse=True))
        return iter(live.irange(minimum=start))
