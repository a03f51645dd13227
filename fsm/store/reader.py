"""Reading a state: what views and transactions have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, TypeVar

from yurt.fsm.store.schema import Table

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

# A key below which to list: a whole key, its first parts, or its first parts with a beginning of the next text.
Prefix = tuple[str, ...] | str


class Reader:
    """Reads of one consistent state."""

    __slots__ = ()

    @property
    def index(self) -> int:
        """The index that the state is at."""
        raise AssertionError("a reader has a state")

    def _rows(self, name: str) -> Any:
        raise AssertionError("a reader has a state")

    def _index(self, table: str, name: str) -> Any:
        raise AssertionError("a reader has a state")

    def get(self, table: Table[K, R], key: K) -> R | None:
        """The row of that key."""
        row: R | None = self._rows(table.name).get(key)
        return row

    def find(self, table: Table[K, R], index: str, value: Any) -> list[R]:
        """The rows that have `value` in a secondary index, sorted by key."""
        keys = self._index(table.name, index).get(value)
        if keys is None:
            return []
        rows = self._rows(table.name)
        return [rows[key] for key in (sorted(keys) if len(keys) > 1 else keys)]

    def has(self, table: Table[K, R], index: str, value: Any) -> bool:
        """Whether some row has `value` in a secondary index."""
        return value in self._index(table.name, index)

    def count(self, table: Table[K, R]) -> int:
        """How many rows the table has."""
        return len(self._rows(table.name))

    def keys(self, table: Table[K, R], *, start: K | None = None, reverse: bool = False) -> Iterator[K]:
        """The keys in order, from `start` on (included)."""
        ordered = sorted(self._rows(table.name), reverse=reverse)
        for key in ordered:
            if start is None or (key <= start if reverse else key >= start):
                yield key

    def scan(
        self, table: Table[K, R], *, prefix: Prefix | None = None, start: K | None = None, reverse: bool = False
    ) -> Iterator[R]:
        """The rows in key order, from `start` on (included), those whose key begins with `prefix` only.

        The last text of a prefix is a beginning: `("default", "web")` finds the jobs of `default` whose ID begins
        with `web`.
        """
        rows = self._rows(table.name)
        if prefix is None:
            found = self.keys(table, start=start, reverse=reverse)
        else:
            found = self._keys_below(table, prefix, start, reverse)
        for key in found:
            row = rows.get(key)
            if row is not None:
                yield row

    def _keys_below(self, table: Table[K, R], prefix: Prefix, start: K | None, reverse: bool) -> Iterator[K]:
        low: Any = prefix
        high: Any = prefix + "\U0010ffff" if isinstance(prefix, str) else (*prefix[:-1], prefix[-1] + "\U0010ffff")
        if start is None:
            first = high if reverse else low
        else:
            first = min(start, high) if reverse else max(start, low)
        for key in self.keys(table, start=first, reverse=reverse):
            if not begins(key, prefix):
                if (key < low) if reverse else (key > high):
                    return
                continue
            yield key


def begins(key: Any, prefix: Prefix) -> bool:
    """Whether a key begins with a prefix (see `Reader.scan`)."""
    if isinstance(prefix, str):
        return bool(key.startswith(prefix))
    last = len(prefix) - 1
    return bool(key[:last] == prefix[:last] and key[last].startswith(prefix[last]))
