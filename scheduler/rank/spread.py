"""Spreads: how much a node's value of an attribute is wanted (spec scheduling §12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from yurt.fsm.structs.constraint import Spread
from yurt.fsm.structs.node import Node
from yurt.scheduler.cluster import Floats, Ints
from yurt.scheduler.feasible.operands import resolve

_REST_MIN = 1e-9  # a smaller share is what rounding left of nothing
_LOWEST = -1.0


class Values:
    """The values of an attribute over nodes: `codes` has a number a node, the last one for those without."""

    __slots__ = ("codes", "numbers", "texts")

    def __init__(self, attribute: str, nodes: Sequence[Node]) -> None:
        self.numbers: dict[str, int] = {}
        found = [resolve(attribute, node) for node in nodes]
        for value in found:
            if value is not None:
                self.numbers.setdefault(value, len(self.numbers))
        self.texts = list(self.numbers)
        missing = len(self.numbers)
        self.codes: Ints = np.array([missing if one is None else self.numbers[one] for one in found], np.int64)


class SpreadScore:
    """One spread of a group: counts a value, kept as the plan grows, and the boosts that follow from them."""

    def __init__(self, spread: Spread, count: int, weights: int, nodes: Sequence[Node]) -> None:
        self.attribute = spread.attribute
        self._values = Values(spread.attribute, nodes)
        self._used: Counter[str] = Counter()
        self._share = spread.weight / weights if weights else 0.0
        self._desired = _desired(spread, count)
        self._boosts: Floats | None = None

    def count(self, value: str | None, change: int) -> None:
        """An allocation of the group came to a node with that value, or left it."""
        if value is not None:
            self._used[value] += change
            self._boosts = None

    def boosts(self) -> Floats:
        """Return the boost that the spread gives each node."""
        if self._boosts is None:
            values = self._values.texts
            by_value = self._towards_targets(values) if self._desired else self._evenly(values)
            self._boosts = np.array([*by_value, _LOWEST])[self._values.codes]
        return self._boosts

    def _towards_targets(self, values: list[str]) -> list[float]:
        assert self._desired is not None
        rest = self._desired.get("*")
        wanted = [self._desired.get(value, rest) for value in values]
        found = [
            (one - (self._used[value] + 1)) / one * self._share if one else 0.0
            for value, one in zip(values, wanted, strict=True)
        ]
        lowest = min([_LOWEST, *(boost for boost, one in zip(found, wanted, strict=True) if one)])
        return [
            _LOWEST if one is None else (lowest if one == 0 else boost)
            for boost, one in zip(found, wanted, strict=True)
        ]

    def _evenly(self, values: list[str]) -> list[float]:
        counts = [number for number in self._used.values() if number > 0]
        if not counts:
            return [0.0] * len(values)
        low, high = min(counts), max(counts)
        at_low = _LOWEST if low == high else (high - low) / low
        return [at_low if self._used[value] == low else (low - self._used[value]) / low for value in values]


def _desired(spread: Spread, count: int) -> dict[str, float] | None:
    """How many allocations each value should get, `*` for the values that are not named; None without targets."""
    if not spread.spread_target:
        return None
    desired = {one.value: one.percent / 100 * count for one in spread.spread_target}
    rest = count - sum(desired.values())
    if "*" not in desired and rest > _REST_MIN:
        desired["*"] = rest
    return desired
