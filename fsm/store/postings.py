"""Postings: the keys that one value has in a secondary index.

A few keys are a sorted tuple, many are a persistent map, so that a value with one key costs 48 bytes and one with
100,000 keys is changed in microseconds. No posting is empty: a value without keys is not in the index.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from immutables import Map

Posting = tuple[Any, ...] | Map[Any, bool]

TUPLE_KEYS_MAX = 16


def with_key(posting: Posting | None, key: Any) -> Posting:
    """The posting with one more key."""
    if posting is None:
        return (key,)
    if isinstance(posting, Map):
        return posting.set(key, True)
    at = bisect_left(posting, key)
    if at < len(posting) and posting[at] == key:
        return posting
    if len(posting) < TUPLE_KEYS_MAX:
        return (*posting[:at], key, *posting[at:])
    return Map(dict.fromkeys((*posting, key), True))


def without_key(posting: Posting, key: Any) -> Posting | None:
    """The posting without a key of it, None if that was the last one."""
    if isinstance(posting, Map):
        fewer = posting.delete(key)
        return tuple(sorted(fewer)) if len(fewer) <= TUPLE_KEYS_MAX // 2 else fewer
    return tuple(one for one in posting if one != key) or None


def ordered(posting: Posting) -> tuple[Any, ...] | list[Any]:
    """The keys in order."""
    return sorted(posting) if isinstance(posting, Map) else posting


def posting_of(keys: list[Any]) -> Posting:
    """The posting of keys that are in order already."""
    return tuple(keys) if len(keys) <= TUPLE_KEYS_MAX else Map(dict.fromkeys(keys, True))
