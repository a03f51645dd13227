"""The best places without looking at all of them again, as long as few scores changed."""

from __future__ import annotations

import numpy as np

from yurt.scheduler.cluster import Floats, Ints

_SIZE = 64
_GROWN_MAX = 256


class Shortlist:
    """The places that were best when all were looked at, and those that changed since; no other is above the floor."""

    __slots__ = ("_floor", "_members", "_places")

    def __init__(self) -> None:
        self._members: dict[int, None] = {}
        self._places: Ints | None = None
        self._floor = np.inf

    def changed(self, place: int) -> None:
        """The score of a place changed."""
        if place not in self._members:
            self._members[place] = None
            self._places = None

    def best(self, scores: Floats, count: int) -> list[int]:
        """The places with the highest scores, the highest first."""
        if len(self._members) <= _GROWN_MAX and self._floor != np.inf:
            if self._places is None:
                self._places = np.fromiter(self._members, np.int64, len(self._members))
            found = _first(scores, self._places, count)
            if len(found) == count and scores[found[-1]] >= self._floor:
                return found
        size = min(_SIZE, len(scores))
        self._places = _top(scores, size)
        self._members = dict.fromkeys(self._places.tolist())
        self._floor = float(scores[self._places].min()) if size else np.inf
        return _first(scores, self._places, count)


def best_of(scores: Floats, count: int) -> list[int]:
    """The same for scores that are looked at once."""
    return _first(scores, _top(scores, min(count, len(scores))), count)


def _top(scores: Floats, size: int) -> Ints:
    if size >= len(scores):
        return np.arange(len(scores))
    top: Ints = np.argpartition(scores, -size)[-size:]
    return top


def _first(scores: Floats, places: Ints, count: int) -> list[int]:
    order = np.argsort(-scores[places], kind="stable")[:count]
    found: list[int] = places[order].tolist()
    return found
