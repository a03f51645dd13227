"""Booleans and integers in query strings, with the texts of the wire protocol."""

from __future__ import annotations

import re

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?\d+\Z")


def parse_bool(text: str) -> bool:
    """A boolean word; raises ValueError."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def parse_int(text: str, function: str = "Atoi", low: int = -(2**63), high: int = 2**63 - 1) -> int:
    """A decimal integer; raises ValueError."""
    if len(text) > 32 or not text.isascii() or not _INTEGER.match(text):
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
    value = int(text)
    if not low <= value <= high:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value


def parse_uint(text: str) -> int:
    """An unsigned 64-bit integer; raises ValueError."""
    if text[:1] in ("+", "-"):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return parse_int(text, "ParseUint", 0, 2**64 - 1)
