"""Watches: who wants to know when a row, the rows of some keys or a table changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from yurt.fsm.store.changes import Change
from yurt.fsm.store.reader import KeyPrefix
from yurt.fsm.store.schema import Table


class Prefix(NamedTuple):
    """All keys that begin with `text` (as in `Reader.scan`: the last text is a beginning)."""

    text: KeyPrefix


class Having(NamedTuple):
    """All rows that have `value` in a secondary index, or had it before the change."""

    name: str
    value: Any


# (table, key), (table, Prefix(…)), (table, Having(…)) or (table, None) for the whole table
WatchItem = tuple[Table[Any, Any], Any]

Waiting = dict["Watch", None]
ErrorCallback = Callable[[Exception], None]


class Watch:
    """One registration; `cancel` ends it, also from within a callback."""

    __slots__ = ("_owner", "active", "callback", "items")

    def __init__(self, owner: Watches, items: tuple[WatchItem, ...], callback: Callable[[int], None]) -> None:
        self._owner = owner
        self.active = True
        self.items = items
        self.callback = callback

    def cancel(self) -> None:
        """Ask no more; may be called again."""
        if self.active:
            self.active = False
            self._owner.remove(self)


class Watches:
    """All registrations. A commit wakes only those whose items it touched, each once, in the order of registration
    within an item.

    The cost of a commit depends on what it touched, not on how many wait for something else.
    A callback's error stops neither the other callbacks nor the command: it goes to `on_error`.
    """

    def __init__(self, on_error: ErrorCallback) -> None:
        self._on_error = on_error
        self._by_key: dict[tuple[str, Any], Waiting] = {}
        self._by_table: dict[str, Waiting] = {}
        self._by_prefix: dict[str, dict[tuple[int, int], dict[KeyPrefix, Waiting]]] = {}
        self._by_value: dict[str, dict[str, dict[Any, Waiting]]] = {}

    def __len__(self) -> int:
        """How many watches there are."""
        return len(self._everyone())

    def watch(self, items: Iterable[WatchItem], callback: Callable[[int], None]) -> Watch:
        """Call `callback(index)` after each commit that touches one of the items, until the watch is cancelled.

        A callback must not apply commands; it may watch and cancel.
        """
        watch = Watch(self, tuple(items), callback)
        for table, what in watch.items:
            if what is None:
                waiting = self._by_table.setdefault(table.name, {})
            elif isinstance(what, Prefix):
                shapes = self._by_prefix.setdefault(table.name, {})
                waiting = shapes.setdefault(_shape(what.text), {}).setdefault(what.text, {})
            elif isinstance(what, Having):
                waiting = self._by_value.setdefault(table.name, {}).setdefault(what.name, {}).setdefault(what.value, {})
            else:
                waiting = self._by_key.setdefault((table.name, what), {})
            waiting[watch] = None
        return watch

    def remove(self, watch: Watch) -> None:
        """Forget a watch."""
        for table, what in watch.items:
            if what is None:
                _discard(self._by_table, table.name, watch)
            elif isinstance(what, Prefix):
                shapes = self._by_prefix.get(table.name, {})
                shape = _shape(what.text)
                if shape in shapes:
                    _discard(shapes[shape], what.text, watch)
                    if not shapes[shape]:
                        del shapes[shape]
            elif isinstance(what, Having):
                _discard(self._by_value.get(table.name, {}).get(what.name, {}), what.value, watch)
            else:
                _discard(self._by_key, (table.name, what), watch)

    def wake(self, index: int, changes: Iterable[Change], touched: Iterable[str]) -> None:
        """Call back everyone who waits for one of the changed rows or for a touched table."""
        woken: Waiting = {}
        for name in touched:
            if found := self._by_table.get(name):
                woken.update(found)
        if self._by_key or self._by_prefix or self._by_value:
            for change in changes:
                name = change.table.name
                if found := self._by_key.get((name, change.key)):
                    woken.update(found)
                if shapes := self._by_prefix.get(name):
                    for shape, prefixes in shapes.items():
                        if found := prefixes.get(_cut(change.key, shape)):
                            woken.update(found)
                for index_name, values in self._by_value.get(name, _NOTHING).items():
                    if values:
                        value_of = change.table.indexes[index_name]
                        for row in (change.old, change.new):
                            if row is not None and (found := values.get(value_of(row))):
                                woken.update(found)
        self._call(woken, index)

    def wake_all(self, index: int) -> None:
        """Call back everyone (the whole state was replaced)."""
        self._call(self._everyone(), index)

    def _everyone(self) -> Waiting:
        everyone: Waiting = {}
        for waiting in (*self._by_key.values(), *self._by_table.values()):
            everyone.update(waiting)
        for shapes in self._by_prefix.values():
            for prefixes in shapes.values():
                for waiting in prefixes.values():
                    everyone.update(waiting)
        for indexes in self._by_value.values():
            for values in indexes.values():
                for waiting in values.values():
                    everyone.update(waiting)
        return everyone

    def _call(self, woken: Waiting, index: int) -> None:
        for watch in woken:
            if watch.active:
                try:
                    watch.callback(index)
                except Exception as error:  # noqa: BLE001 (the border of the store: a listener's bug is not ours)
                    self._on_error(error)


_NOTHING: dict[str, dict[Any, Waiting]] = {}


def _discard(groups: dict[Any, Waiting], key: Any, watch: Watch) -> None:
    waiting = groups.get(key)
    if waiting is not None:
        waiting.pop(watch, None)
        if not waiting:
            del groups[key]


def _shape(prefix: KeyPrefix) -> tuple[int, int]:
    """How many members a prefix has (0: it is a text), and the length of its last text."""
    return (0, len(prefix)) if isinstance(prefix, str) else (len(prefix), len(prefix[-1]))


def _cut(key: Any, shape: tuple[int, int]) -> Any:
    """The beginning of a key that has that shape."""
    members, length = shape
    return key[:length] if members == 0 else (*key[: members - 1], key[members - 1][:length])
