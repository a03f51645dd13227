"""Datacenter patterns: texts with `*` for any number of characters (spec scheduling §11)."""

from __future__ import annotations


def matches_glob(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern."""
    if "*" not in pattern:
        return pattern == text
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True
