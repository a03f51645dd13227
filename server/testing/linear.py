"""Wing and Gong's search, along time: in which states one register can be, given the answers so far.

A configuration is a value with the pending operations that have taken effect. When an operation ends, only those are
kept in which it has. So a search holds what is pending, not the history. Of equal configurations one that used fewer
operations of unknown outcome can do all that the other can: only that one is kept; an operation that changes nothing
takes effect as soon as its answer fits. Operations of unknown outcome stay open for ever and never have to be taken:
one is only where something pending needs what it leaves behind.
Writes that were told an index take effect in the order of their indexes: that is promised too, and leaves few orders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from yurt.server.testing.history import CAS, CONFLICT, DELETE, FAIL, READS, UNKNOWN, WRITE, Event, Value

Key = tuple[Value, int]  # a value, and which known pending operations have taken effect


class GivenUp(Exception):
    """The search takes too many steps."""


def is_judged(event: Event) -> bool:
    """Whether an operation says anything about the register."""
    if event.kind in READS:
        return event.result not in (UNKNOWN, FAIL)
    return event.kind in (WRITE, CAS, DELETE) and event.result != FAIL


class Search:
    """Call `begin` and `end` in the order of time."""

    def __init__(self, steps_max: int) -> None:
        self._configurations: dict[Key, list[int]] = {(None, 0): [0]}  # → sets of open operations that were used
        self._pending: dict[int, Event] = {}  # by slot, a bit of the key
        self._free: list[int] = []
        self._open: list[Event] = []
        self._open_by_value: dict[Value, list[int]] = {}  # what they leave behind
        self._steps_left = steps_max

    def begin(self, event: Event) -> int:
        """An operation begins; its slot, -1 if its end will not be heard of."""
        if event.result == UNKNOWN:
            number = len(self._open)
            self._open.append(event)
            self._open_by_value.setdefault(_left_behind(event), []).append(number)
            return -1
        slot = self._free.pop() if self._free else len(self._pending)
        self._pending[slot] = event
        if _changes_nothing(event):
            before, self._configurations = self._configurations, {}
            for (value, taken), used in before.items():
                for one in used:
                    _keep(self._configurations, (value, self._settled(value, taken)), one)
        return slot

    def end(self, slot: int) -> bool:
        """An operation ends; False if no order explains its answer. Raises `GivenUp`."""
        bit = 1 << slot
        kept: dict[Key, list[int]] = {}
        seen: dict[Key, list[int]] = {}
        todo = deque((key, one) for key, used in self._configurations.items() for one in used)
        while todo:
            key, used = todo.popleft()
            if key[1] & bit:
                _keep(kept, (key[0], key[1] & ~bit), used)
                continue
            for after in self._after(key, used):
                self._steps_left -= 1
                if self._steps_left < 0:
                    raise GivenUp
                if _keep(seen, *after):
                    todo.append(after)
        self._configurations = kept
        del self._pending[slot]
        self._free.append(slot)
        return bool(kept)

    def _after(self, key: Key, used: int) -> Iterator[tuple[Key, int]]:
        """Yield the states after one more pending operation that changes something has taken effect."""
        value, taken = key
        for slot, event in self._pending.items():
            if taken >> slot & 1 or _changes_nothing(event) or not self._is_next(event, taken):
                continue
            if event.kind != CAS or event.expected == value:
                after = _left_behind(event)
                yield (after, self._settled(after, taken | 1 << slot)), used
        for after in self._needed(taken):
            for number in self._open_by_value.get(after, ()):
                event = self._open[number]
                if not used >> number & 1 and (event.kind != CAS or event.expected == value):
                    yield (after, self._settled(after, taken)), used | 1 << number

    def _needed(self, taken: int) -> Iterable[Value]:
        """The values that pending operations need, directly or by way of open check-and-sets."""
        needed: dict[Value, None] = {}
        for slot, event in self._pending.items():
            if taken >> slot & 1:
                continue
            if event.result == CONFLICT:
                return list(self._open_by_value)  # any other value than the present one
            if event.kind in READS or event.kind == CAS:
                needed[event.value if event.kind in READS else event.expected] = None
        todo = list(needed)
        for wanted in todo:
            for number in self._open_by_value.get(wanted, ()):
                event = self._open[number]
                if event.kind == CAS and event.expected not in needed:
                    needed[event.expected] = None
                    todo.append(event.expected)
        return todo

    def _is_next(self, event: Event, taken: int) -> bool:
        """Whether all pending writes of lower index have taken effect, and none of higher index has."""
        return not event.index or all(
            bool(taken >> slot & 1) == (other.index < event.index)
            for slot, other in self._pending.items()
            if other.index and other is not event and not _changes_nothing(other)
        )

    def _settled(self, value: Value, taken: int) -> int:
        """`taken` with all pending operations that change nothing and whose answer fits `value`."""
        for slot, event in self._pending.items():
            if not taken >> slot & 1 and _changes_nothing(event):
                fits = event.value == value if event.kind in READS else event.expected != value
                taken |= fits << slot
        return taken


def _changes_nothing(event: Event) -> bool:
    return event.kind in READS or event.result == CONFLICT


def _left_behind(event: Event) -> Value:
    """Return the value that a changing operation leaves behind."""
    return None if event.kind == DELETE else event.value


def _keep(configurations: dict[Key, list[int]], key: Key, used: int) -> bool:
    """Add a configuration unless one is there that can do as much; whether it was added."""
    there = configurations.setdefault(key, [])
    if any(one & ~used == 0 for one in there):
        return False
    there[:] = [one for one in there if used & ~one != 0]
    there.append(used)
    return True
