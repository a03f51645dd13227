"""Booleans and integers in query strings, floats in diffs, with the texts of the wire protocol."""

from __future__ import annotations

import math
import re

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?\d+\Z")
POSITION_DIGITS_MAX = 18


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


def parse_position(text: str) -> int | None:
    """A number that counts things, of ASCII digits alone; None for anything else, and for 10^18 and more."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= POSITION_DIGITS_MAX else None


def format_float(value: float) -> str:
    """The shortest decimal that reads back as a finite `value`: `1.5`, `100000`, `1e+06`, `1.25e-05`.

    Scientific when the decimal exponent is below -4 or above 5, then with two digits of it at least.
    """
    mantissa, _, shift = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    significant = (whole + fraction).lstrip("0")
    exponent = len(significant) - len(fraction) - 1 + int(shift or 0) if significant else 0
    digits = significant.rstrip("0") or "0"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if exponent < -4 or exponent > 5:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{exponent:+03d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    rest = f".{digits[exponent + 1 :]}" if len(digits) > exponent + 1 else ""
    return f"{sign}{digits[: exponent + 1].ljust(exponent + 1, '0')}{rest}"
