"""Postings: the keys that one value has in a secondary index.

A few keys are a sorted tuple, many are a persistent map, so that a value with one key costs 48 bytes and one with
100,000 keys is changed in microseconds. No posting is empty: a value without keys is not in the index.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from immutables import Map

Posting = tuple[Any, ...] | Map[Any, bool]

TUPLE_KEYS_MAX = 16
_PIECE = 256


def changed(posting: Posting | None, membership: Mapping[Any, bool]) -> Posting | None:
    """The posting with the keys that are True and without those that are False; None if none is left."""
    if isinstance(posting, Map):
        mutation = posting.mutate()
        for key, is_member in membership.items():
            if is_member:
                mutation.set(key, True)
            else:
                mutation.pop(key, None)
        many = mutation.finish()
        return tuple(sorted(many)) or None if len(many) <= TUPLE_KEYS_MAX // 2 else many
    keys = dict.fromkeys(posting or (), True) | dict(membership)
    return posting_of(sorted(key for key, is_member in keys.items() if is_member)) or None


def with_one(posting: Posting | None, key: Any, *, is_member: bool) -> Posting | None:
    """The posting with or without one key; None if none is left."""
    if isinstance(posting, Map):
        if is_member:
            return posting.set(key, True)
        fewer = posting.delete(key) if key in posting else posting
        return tuple(sorted(fewer)) or None if len(fewer) <= TUPLE_KEYS_MAX // 2 else fewer
    if not posting:
        return (key,) if is_member else None
    at = bisect_left(posting, key)
    is_there = at < len(posting) and posting[at] == key
    if is_there == is_member:
        return posting
    if not is_member:
        return (*posting[:at], *posting[at + 1 :]) or None
    return posting_of([*posting[:at], key, *posting[at:]])


def ordered(posting: Posting) -> tuple[Any, ...] | list[Any]:
    """The keys in order."""
    return sorted(posting) if isinstance(posting, Map) else posting


def gradually(keys: Iterable[Any]) -> Iterator[Any]:
    """The keys of a posting in order; None now and then while many are sorted, so that the caller can give way."""
    if isinstance(keys, tuple):
        yield from keys
        return
    rest, pieces = iter(keys), []
    while piece := sorted(islice(rest, _PIECE)):
        pieces.append(piece)
        yield None
    yield from pieces[0] if len(pieces) == 1 else heapq.merge(*pieces)


def posting_of(keys: list[Any]) -> Posting:
    """The posting of keys that are in order already."""
    return tuple(keys) if len(keys) <= TUPLE_KEYS_MAX else Map(dict.fromkeys(keys, True))
