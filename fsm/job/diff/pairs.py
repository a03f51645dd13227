"""Which member of one list is compared with which of the other (spec job-model §7)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from itertools import zip_longest
from typing import Any

Pair = tuple[Any, Any]  # None where a side has no partner
Pairing = Callable[[Any, Any], list[Pair]]


def by(key: Callable[[Any], Hashable]) -> Pairing:
    """Members of the same key, the first with the first if there are several."""

    def pair(old: Sequence[Any], new: Sequence[Any]) -> list[Pair]:
        waiting: defaultdict[Hashable, deque[Any]] = defaultdict(deque)
        for one in new:
            waiting[key(one)].append(one)
        pairs = [(one, rest.popleft() if (rest := waiting.get(key(one))) else None) for one in old]
        pairs.extend((None, one) for rest in waiting.values() for one in rest)
        return pairs

    return pair


def by_place(old: Sequence[Any], new: Sequence[Any]) -> list[Pair]:
    """The first with the first, the second with the second."""
    return list(zip_longest(old, new))


def by_map_key(old: dict[str, Any], new: dict[str, Any]) -> list[Pair]:
    """The values of two maps under the same key; `()` is an empty map."""
    before, after = dict(old), dict(new)
    return [(before.get(key), after.get(key)) for key in {**before, **after}]


def directly_or(pair: Pairing) -> Pairing:
    """One member on each side: these two; else as `pair` says."""
    return lambda old, new: [(old[0], new[0])] if len(old) == len(new) == 1 else pair(old, new)


def by_likeness(old: Sequence[Any], new: Sequence[Any]) -> list[Pair]:
    """Services: each old one takes the free new one that is most like it, if it is like enough.

    The same name counts 3, the same port 2, the same place 1; more than 2 are needed, the first of equals wins. Only
    three can be the best one: that in the same place, the first of the same name, the first of the same name and port.
    """
    free = dict(enumerate(new))
    same: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for place, one in enumerate(new):
        same[one.name].append(place)
        same[one.name, one.port_label].append(place)
    pairs: list[Pair] = []
    for place, one in enumerate(old):
        firsts = [_first(same.get(key), free) for key in (one.name, (one.name, one.port_label))]
        best, most = None, 2
        for at in sorted({at for at in (place, *firsts) if at in free}):
            likeness = 3 * (one.name == new[at].name) + 2 * (one.port_label == new[at].port_label) + (at == place)
            if likeness > most:
                best, most = at, likeness
        pairs.append((one, None if best is None else free.pop(best)))
    pairs.extend((None, one) for one in free.values())
    return pairs


def _first(places: deque[int] | None, free: dict[int, Any]) -> int | None:
    """The first place that is still free; taken ones are forgotten."""
    while places and places[0] not in free:
        places.popleft()
    return places[0] if places else None
