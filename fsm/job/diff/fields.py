"""Fields: values as text, two texts as a field, maps and opaque values as many fields (spec job-model §7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import chain
from operator import attrgetter
from typing import Any

from yurt.fsm.lang.strconv import format_float
from yurt.fsm.structs.diff import ADDED, DELETED, EDITED, NONE, DiffType, FieldDiff

by_name = attrgetter("name")  # within an object, only the members of a set share their name
by_value = attrgetter("name", "old", "new")
Texts = Mapping[str, str]
NIL = "nil"
_SLICE = 10_000  # sorting so many takes some milliseconds


def text_of(value: Any) -> str:
    """A scalar as a diff shows it: durations as integers, null as `nil`."""
    if value.__class__ is str:
        return value
    if value is None:
        return NIL
    if value is True or value is False:
        return "true" if value else "false"
    return format_float(value) if value.__class__ is float else str(value)


def type_of(old: str, new: str) -> DiffType:
    """Return the diff type of a text that changes from `old` to `new`."""
    if old == new:
        return NONE
    return EDITED if old and new else ADDED if new else DELETED


def field(name: str, old: str, new: str) -> FieldDiff:
    """Two texts as a field."""
    return FieldDiff(name=name, old=old, new=new, type=type_of(old, new))


def fields_of_maps(old: Texts, new: Texts, *, contextual: bool, member: str = "") -> Iterator[FieldDiff]:
    """The entries of two maps in no order, `key` or `member[key]` each; those that are the same only if contextual."""
    for key in chain(old, (key for key in new if key not in old)):
        before, after = old.get(key, ""), new.get(key, "")
        if contextual or before != after:
            yield field(f"{member}[{key}]" if member else key, before, after)


def in_order(fields: Iterable[FieldDiff]) -> list[FieldDiff]:
    """The fields of one object, sorted by name; many in slices, between which other threads get their turn."""
    found = list(fields)
    if len(found) <= _SLICE:
        found.sort(key=by_name)
        return found
    slices = [sorted(found[start : start + _SLICE], key=by_name) for start in range(0, len(found), _SLICE)]
    return list(merge(*slices, key=by_name))


def flatten(value: Any) -> dict[str, str]:
    """The leaves of a map: `key`, `key[inner]`, `key[0]`; an empty list or map has none."""
    leaves: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = list((value or {}).items())
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend((f"{name}[{key}]", inner) for key, inner in one.items())
        elif isinstance(one, list | tuple):
            waiting.extend((f"{name}[{place}]", inner) for place, inner in enumerate(one))
        else:
            leaves[name] = text_of(one)
    return leaves


def listed(found: Iterable[Any]) -> tuple[Any, ...] | None:
    """A list as answers show it: null when empty."""
    return tuple(found) or None
