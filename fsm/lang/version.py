"""Versions and constraints on them: lenient ones (`version`) and strict ones (`semver`) (spec scheduling §11.2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(\d+(?:\.\d+)*)(?:-([0-9A-Za-z~-]+(?:\.[0-9A-Za-z~-]+)*))?(?:\+([0-9A-Za-z~-]+(?:\.[0-9A-Za-z~-]+)*))?"
)
_CONSTRAINT = re.compile(r"\s*(=|!=|>=|<=|>|<|~>|)\s*(\S+)\s*")
TEXT_BYTES_MAX = 1000


class Version(NamedTuple):
    """Numbers (at least three, `given` of them written), and the parts of a prerelease, empty if it is none."""

    segments: tuple[int, ...]
    prerelease: tuple[str, ...]
    given: int


@lru_cache(1024)
def parse_version(text: str) -> Version | None:
    """The version, None if the text is none. Metadata after `+` is ignored."""
    match = _VERSION.fullmatch(text.strip()) if len(text) <= TEXT_BYTES_MAX else None
    if match is None:
        return None
    segments = tuple(int(part) for part in match[1].split("."))
    prerelease = tuple(match[2].split(".")) if match[2] else ()
    return Version(segments + (0,) * (3 - len(segments)), prerelease, len(segments))


@lru_cache(1024)
def parse_constraints(text: str, *, strict: bool) -> tuple[tuple[str, Version], ...] | None:
    """The constraints of a comma list, None if one is malformed; strict ones know no `~>`."""
    found = []
    for part in text.split(",") if len(text) <= TEXT_BYTES_MAX else ("?",):
        match = _CONSTRAINT.fullmatch(part)
        version = parse_version(match[2]) if match else None
        if match is None or version is None or (strict and match[1] == "~>"):
            return None
        found.append((match[1] or "=", version))
    return tuple(found)


def meets(text: str, constraints: str, *, strict: bool = False) -> bool:
    """Whether a version meets every constraint of the list; false if either cannot be parsed."""
    version = parse_version(text)
    wanted = parse_constraints(constraints, strict=strict)
    if version is None or wanted is None:
        return False
    return all(_meets_one(version, operator, other, strict) for operator, other in wanted)


def _meets_one(version: Version, operator: str, other: Version, strict: bool) -> bool:
    order = compare(version, other)
    if operator == "=":
        return order == 0
    if operator == "!=":
        return order != 0
    if not strict and version.prerelease and (not other.prerelease or version.segments != other.segments):
        return False
    if operator == "~>":
        fixed = other.given - 1
        return order >= 0 and version.segments[:fixed] == other.segments[:fixed]
    return (order > 0 and operator[0] == ">") or (order < 0 and operator[0] == "<") or (order == 0 and "=" in operator)


def compare(one: Version, other: Version) -> int:
    """-1, 0 or 1: numbers first, then a prerelease stands before its release."""
    length = max(len(one.segments), len(other.segments))
    mine = one.segments + (0,) * (length - len(one.segments))
    theirs = other.segments + (0,) * (length - len(other.segments))
    if mine != theirs:
        return 1 if mine > theirs else -1
    left, right = _prerelease_order(one.prerelease), _prerelease_order(other.prerelease)
    return (left > right) - (left < right)


def _prerelease_order(parts: tuple[str, ...]) -> tuple[int, tuple[tuple[int, int, str], ...]]:
    if not parts:
        return (1, ())
    return (0, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts))
