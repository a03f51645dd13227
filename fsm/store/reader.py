"""Reading a state: what views and transactions have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from yurt.fsm.store.orders import LiveOrders, Pin
from yurt.fsm.store.postings import gradually, ordered
from yurt.fsm.store.schema import Table
from yurt.fsm.store.state import Index, Rows, TableState

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

# The beginning of a key: a beginning of a text key, or first members of a tuple key of which the last is a beginning.
KeyPrefix = tuple[str, ...] | str

_BATCH_FIRST, _BATCH_MAX = 128, 2048


class Reader:
    """Reads of one consistent state. `index` is that of the command that led to it, or that is in work."""

    __slots__ = ("_orders", "_pin", "_tables", "index")

    def __init__(self, index: int, tables: dict[str, TableState], orders: LiveOrders | None) -> None:
        self.index = index
        self._tables = tables
        self._orders = orders
        self._pin: Pin | None = None

    def _state(self, table: str) -> TableState:
        """A table by its name, with all that is written to it."""
        return self._tables[table]

    def get(self, table: Table[K, R], key: K) -> R | None:
        """The row of that key."""
        row: R | None = self._tables[table.name].rows.get(key)
        return row

    def find(self, table: Table[K, R], index: str, value: Any) -> list[R]:
        """The rows that have `value` in a secondary index, sorted by key."""
        state = self._state(table.name)
        keys = state.indexes[index].get(value)
        if keys is None:
            return []
        rows = state.rows
        return [rows[key] for key in ordered(keys)]

    def each(self, table: Table[K, R], index: str, value: Any) -> Iterator[R | None]:
        """The rows of `find` one by one; None now and then while many keys are sorted."""
        state = self._state(table.name)
        rows = state.rows
        keys = state.indexes[index].get(value, ())
        return (None if key is None else rows[key] for key in gradually(keys))

    def sample(self, table: Table[K, R], size: int) -> list[R]:
        """Some rows of the table, at most `size`, in no order."""
        return list(islice(self._state(table.name).rows.values(), size))

    def has(self, table: Table[K, R], index: str, value: Any) -> bool:
        """Whether some row has `value` in a secondary index."""
        return value in self._state(table.name).indexes[index]

    def tally(self, table: Table[K, R], index: str, value: Any) -> int:
        """How many rows have `value` in a secondary index."""
        keys = self._state(table.name).indexes[index].get(value)
        return 0 if keys is None else len(keys)

    def _index(self, table: str, name: str) -> Index:
        """A whole secondary index by the table's name; `tally` and `has` say the same without its insides."""
        return self._state(table).indexes[name]

    def count(self, table: Table[K, R]) -> int:
        """How many rows the table has."""
        return len(self._state(table.name).rows)

    def table_index(self, table: Table[Any, Any]) -> int:
        """The index of the last write to a table, its floor if there was none."""
        return self._tables[table.name].index

    def scan(
        self,
        table: Table[K, R],
        *,
        prefix: KeyPrefix | None = None,
        start: Any = None,
        reverse: bool = False,
        order: str | None = None,
    ) -> Iterator[R]:
        """The rows in key order, or in another order of the table, from `start` on (included).

        `start` is a key, or a place if an order is named; it need not be there. The last text of a prefix is a
        beginning: `("default", "web")` finds the jobs of `default` whose ID begins with `web`, `("default", "")` all
        of them. A scan shows the rows as they were when it was asked for, however late it is read.
        """
        assert prefix is None or order is None, "a prefix is one of keys"
        rows = self._state(table.name).rows
        span = _span(prefix, start, reverse)
        return self._rows_in(table, rows, span, reverse, order)

    def keys(
        self, table: Table[K, R], *, prefix: KeyPrefix | None = None, start: K | None = None, reverse: bool = False
    ) -> Iterator[K]:
        """The keys of `scan`'s rows."""
        rows = self._state(table.name).rows
        return (key for batch in self._batches(table, rows, _span(prefix, start, reverse), reverse) for key in batch)

    def _rows_in(self, table: Table[K, R], rows: Rows, span: _Span, reverse: bool, order: str | None) -> Iterator[R]:
        for batch in self._batches(table, rows, span, reverse, order):
            for place in batch:
                yield rows[place if order is None else place[-1]]

    def _batches(
        self, table: Table[Any, Any], rows: Rows, span: _Span, reverse: bool, order: str | None = None
    ) -> Iterator[list[Any]]:
        """Keys or places in growing batches: between two of them the newest state may move on."""
        size = _BATCH_FIRST
        while True:
            batch = self._live_batch(table, rows, span, reverse, order, size)
            if batch is None:
                yield _sorted_in(table, rows, span, reverse, order)
                return
            places, last = batch
            yield places
            if last is None:
                return
            span = span._replace(high=last, high_in=False) if reverse else span._replace(low=last, low_in=False)
            size = min(2 * size, _BATCH_MAX)

    def _live_batch(
        self, table: Table[Any, Any], rows: Rows, span: _Span, reverse: bool, order: str | None, size: int
    ) -> tuple[list[Any], Any] | None:
        """The next places out of the live orders and the last one looked at, None at the end.

        None in place of both if the rows are not the newest ones any more and nothing is pinned.
        """
        if self._orders is None:
            return None
        live = self._orders.of(table, rows, order)
        pin = None
        if live is None:
            pin = self._pin
            live = None if pin is None else self._orders.newest(table, order)
            if live is None:
                return None
        places = list(islice(live.irange(span.low, span.high, (span.low_in, span.high_in), reverse), size))
        last = places[-1] if len(places) == size else None
        if pin is None:
            return places, last
        removed = pin.removed(table.name, order)
        if removed:
            if last is not None:
                bound = span._replace(low=last, low_in=True) if reverse else span._replace(high=last, high_in=True)
            else:
                bound = span
            more = removed.irange(bound.low, bound.high, (bound.low_in, bound.high_in))
            places = sorted({*places, *more}, reverse=reverse)
        return _present(table, rows, places, order), last


def _present(table: Table[Any, Any], rows: Rows, places: list[Any], order: str | None) -> list[Any]:
    """The places that the rows have: later states have keys and places of their own."""
    if order is None:
        return [key for key in places if key in rows]
    place_of = table.orders[order]
    return [place for place in places if (row := rows.get(place[-1])) is not None and place_of(row) == place]


class _Span(NamedTuple):
    """From where to where; None is no bound."""

    low: Any = None
    low_in: bool = True
    high: Any = None
    high_in: bool = True

    def within(self, places: Iterable[Any]) -> list[Any]:
        """The places that are in it, in no new order."""
        low, low_in, high, high_in = self
        if low is not None:
            places = [place for place in places if place > low or (low_in and place == low)]
        if high is not None:
            places = [place for place in places if place < high or (high_in and place == high)]
        return list(places)


def _span(prefix: KeyPrefix | None, start: Any, reverse: bool) -> _Span:
    low: Any = prefix
    high: Any = None if prefix is None else after_prefix(prefix)
    high_in = prefix is None
    if start is not None and reverse and (high is None or start < high):
        high, high_in = start, True
    elif start is not None and not reverse and (low is None or start > low):
        low = start
    return _Span(low, True, high, high_in)


def after_prefix(prefix: KeyPrefix) -> Any:
    """The least bound that lies above every key that begins with `prefix`, None if there is none."""
    if isinstance(prefix, str):
        rest = prefix.rstrip(chr(0x10FFFF))
        return rest[:-1] + chr(ord(rest[-1]) + 1) if rest else None
    *first, last = prefix
    bound = after_prefix(last)
    if bound is not None:
        return (*first, bound)
    return (*first[:-1], first[-1] + "\0") if first else None


def _sorted_in(table: Table[Any, Any], rows: Rows, span: _Span, reverse: bool, order: str | None) -> list[Any]:
    places = rows if order is None else map(table.orders[order], rows.values())
    return sorted(span.within(places), reverse=reverse)
