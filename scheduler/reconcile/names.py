"""Names of allocations: `<job>.<group>[<index>]` (spec scheduling §7.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from yurt.fsm.structs.allocation import Allocation


def index_of(name: str) -> int:
    """The index in a name, -1 if there is none."""
    digits = name[name.rfind("[") + 1 : -1]
    return int(digits) if name.endswith("]") and digits.isdigit() else -1


def by_index(allocation: Allocation) -> tuple[int, str]:
    """Sorts allocations by their indexes."""
    return (index_of(allocation.name), allocation.id)


class Names:
    """The indexes that a group's allocations use, and which ones are next."""

    def __init__(self, prefix: str, count: int, allocations: Iterable[Allocation]) -> None:
        self._prefix, self._count = prefix, count
        self._used = Counter(index_of(one.name) for one in allocations)
        self._free_from = 0

    def name(self, index: int) -> str:
        """The name with an index."""
        return f"{self._prefix}[{index}]"

    def drop(self, allocation: Allocation) -> None:
        """An allocation's index is used once less."""
        index = index_of(allocation.name)
        self._used[index] -= 1
        self._free_from = min(self._free_from, max(0, index))

    def take(self, count: int) -> list[str]:
        """The next names: free indexes below the count, then those from 0 on again."""
        found = []
        for _ in range(count):
            index = self._next_free()
            if index is None:
                break
            self._used[index] += 1
            found.append(self.name(index))
        missing = count - len(found)
        return found + [self.name(index) for index in range(missing)]

    def _next_free(self) -> int | None:
        for index in range(self._free_from, self._count):
            if self._used[index] <= 0:
                self._free_from = index + 1
                return index
        self._free_from = self._count
        return None

    def unique(self, name: str) -> str:
        """The name of a replacement: the old one, or a free one if another allocation has that name too."""
        index = index_of(name)
        if self._used[index] <= 1:
            return name
        free = self._next_free()
        if free is None:
            return name
        self._used[index] -= 1
        self._used[free] += 1
        return self.name(free)

    def canaries(self, count: int, existing: Iterable[Allocation], updated: Iterable[Allocation]) -> list[str]:
        """Names of canaries: those that destructive updates will replace, then free ones, then ones above the count.

        A name that stays in use beside the one that is replaced (two held it) is not given once more.
        """
        taken = Counter(index_of(one.name) for one in existing)
        replaced = Counter(index_of(one.name) for one in updated)
        given_up = (index for index in sorted(replaced) if self._used[index] <= replaced[index])
        free = (index for index in range(self._count) if self._used[index] <= 0)
        found: dict[int, None] = {}
        for index in (*given_up, *free):
            if len(found) < count and 0 <= index < self._count and index not in taken:
                found[index] = None
        above = self._count
        while len(found) < count:
            found[above] = None
            above += 1
        return [self.name(index) for index in found]
