"""Making a table's persistent maps from its rows, in bulk: the rows come in key order, a batch at a time.

Nothing here holds the interpreter for long: whatever runs in one call of C takes a few milliseconds at most, so that a
server goes on serving while another thread loads.
"""

from __future__ import annotations

from itertools import islice
from operator import lt
from typing import Any

from immutables import Map

from yurt.fsm.store.postings import Posting, posting_of
from yurt.fsm.store.schema import Table
from yurt.fsm.store.state import Index, TableState

_PIECE = 512


class OutOfOrder(ValueError):
    """A row's key does not follow the key of the row before."""


class TableLoader:
    """A table that is being loaded; `keys` are those of its rows, in order."""

    def __init__(self, table: Table[Any, Any]) -> None:
        self._table = table
        self._rows = Map[Any, Any]().mutate()
        self._postings: dict[str, dict[Any, Any]] = {name: {} for name in table.indexes}
        self.keys: list[Any] = []

    def add(self, rows: list[Any]) -> None:
        """Take in the next rows; raises `OutOfOrder`."""
        keys = list(map(self._table.key, rows))
        if not all(map(lt, [*self.keys[-1:], *keys], keys if self.keys else keys[1:])):
            raise OutOfOrder
        for name, value_of in self._table.indexes.items():
            _post(self._postings[name], keys, list(map(value_of, rows)))
        self._rows.update(list(zip(keys, rows, strict=True)))
        self.keys += keys

    def finish(self, index: int) -> TableState:
        """The table's state; nothing may be added any more."""
        indexes = {name: _index_of(postings) for name, postings in self._postings.items()}
        self._postings.clear()
        return TableState(self._rows.finish(), indexes, index)


def _post(postings: dict[Any, Any], keys: list[Any], values: list[Any]) -> None:
    """Note each key at its value: most values have one key, which needs no list."""
    fresh = dict(zip(values, keys, strict=True))
    if len(fresh) == len(keys) and None not in fresh and postings.keys().isdisjoint(fresh):
        postings.update(fresh)
        return
    if len(fresh) == 1 and None in fresh:
        return
    for key, value in zip(keys, values, strict=True):
        if value is None:
            continue
        noted = postings.setdefault(value, key)
        if type(noted) is _Keys:
            noted.append(key)
        elif noted is not key:
            postings[value] = _Keys((noted, key))


class _Keys(list[Any]):
    """Several keys of one value."""

    __slots__ = ()


def _index_of(postings: dict[Any, Any]) -> Index:
    made = Map[Any, Posting]().mutate()
    rest = iter(postings.items())
    while piece := list(islice(rest, _PIECE)):
        made.update([(value, posting_of(keys) if type(keys) is _Keys else (keys,)) for value, keys in piece])
    return made.finish()
