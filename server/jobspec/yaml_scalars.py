"""Plain scalars of YAML 1.1: which words are booleans, nulls, numbers and dates."""

from __future__ import annotations

import re
from decimal import Decimal

from yurt.server.jobspec.values import NULL, NUMBERS, Value, boolean, number, text

_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"}
_FALSE = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"}
_WHOLE = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[0-9][0-9_]*)\Z")
_REAL = re.compile(r"[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)\Z")
_DATE = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(\.\d+)?[ \t]*(Z|[-+]\d\d:\d\d)?)?\Z"
)
LENGTH_MAX = 512


def plain_scalar(word: str) -> Value:
    """The value of an unquoted word."""
    if word in _NULLS:
        return NULL
    if word in _TRUE or word in _FALSE:
        return boolean(word in _TRUE)
    if len(word) <= LENGTH_MAX and (word[0].isdigit() or word[0] in "+-."):
        found = _number(word)
        if found is not None:
            return found
        if date := _DATE.match(word):
            return text(_timestamp(date))
    return text(word)


def _number(word: str) -> Value | None:
    if _WHOLE.match(word):
        digits = word.replace("_", "").lstrip("+-")
        sign = -1 if word[0] == "-" else 1
        base = {"0b": 2, "0x": 16, "0o": 8}.get(digits[:2])
        if base is not None:
            return number(NUMBERS.create_decimal(sign * int(digits[2:], base)))
        if len(digits) > 1 and digits[0] == "0" and digits.isdigit() and not set(digits) & {"8", "9"}:
            return number(NUMBERS.create_decimal(sign * int(digits, 8)))
        return number(NUMBERS.create_decimal(sign * int(digits)))
    if infinite := _INFINITE.match(word):
        return number(Decimal(infinite[1] + "Infinity"))
    if _REAL.match(word) and any(one.isdigit() for one in word):
        return number(NUMBERS.create_decimal(word.replace("_", "")))
    return None


def _timestamp(date: re.Match[str]) -> str:
    year, month, day, hour, minute, second, fraction, zone = date.groups()
    clock = f"{int(hour):02}:{minute}:{second}{(fraction or '').rstrip('0').rstrip('.')}" if hour else "00:00:00"
    return f"{year}-{int(month):02}-{int(day):02}T{clock}{zone or 'Z'}"
