"""Watches: who wants to know when a row, a range of keys or a table changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from yurt.fsm.store.reader import Prefix, begins
from yurt.fsm.store.schema import Table
from yurt.fsm.store.transaction import Change


class Below(NamedTuple):
    """All keys that begin with `prefix`."""

    prefix: Prefix


# (table, key), (table, Below(prefix)) or (table, None) for the whole table
WatchItem = tuple[Table[Any, Any], Any]


class Watch:
    """One registration; `cancel` ends it."""

    __slots__ = ("_owner", "callback", "items")

    def __init__(self, owner: Watches, items: tuple[WatchItem, ...], callback: Callable[[int], None]) -> None:
        self._owner = owner
        self.items = items
        self.callback = callback

    def cancel(self) -> None:
        """Ask no more; may be called again."""
        self._owner.remove(self)


class Watches:
    """All registrations. A commit wakes only those whose items it touched, each once."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, Any], dict[Watch, None]] = {}
        self._by_table: dict[str, dict[Watch, None]] = {}
        self._below: dict[str, dict[Watch, Prefix]] = {}

    def watch(self, items: Iterable[WatchItem], callback: Callable[[int], None]) -> Watch:
        """Call `callback(index)` after each commit that touches one of the items, until the watch is cancelled."""
        watch = Watch(self, tuple(items), callback)
        for table, what in watch.items:
            if what is None:
                self._by_table.setdefault(table.name, {})[watch] = None
            elif isinstance(what, Below):
                self._below.setdefault(table.name, {})[watch] = what.prefix
            else:
                self._by_key.setdefault((table.name, what), {})[watch] = None
        return watch

    def remove(self, watch: Watch) -> None:
        """Forget a watch."""
        for table, what in watch.items:
            if what is None:
                self._by_table.get(table.name, {}).pop(watch, None)
            elif isinstance(what, Below):
                self._below.get(table.name, {}).pop(watch, None)
            elif waiting := self._by_key.get((table.name, what)):
                waiting.pop(watch, None)
                if not waiting:
                    del self._by_key[table.name, what]

    def wake(self, index: int, changes: list[Change], touched: Iterable[str] = ()) -> None:
        """Call back everyone that the changes touch."""
        woken: dict[Watch, None] = {}
        for table, key, _, _ in changes:
            if found := self._by_table.get(table.name):
                woken.update(found)
            if found := self._by_key.get((table.name, key)):
                woken.update(found)
            if below := self._below.get(table.name):
                woken.update((watch, None) for watch, prefix in below.items() if begins(key, prefix))
        for name in touched:
            woken.update(self._by_table.get(name, {}))
        for watch in woken:
            watch.callback(index)

    def wake_all(self, index: int) -> None:
        """Call back everyone (the whole state was replaced)."""
        everyone: dict[Watch, None] = {}
        for watches in (*self._by_key.values(), *self._by_table.values()):
            everyone.update(watches)
        for below in self._below.values():
            everyone.update((watch, None) for watch in below)
        for watch in everyone:
            watch.callback(index)
