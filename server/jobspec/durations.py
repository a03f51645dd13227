"""Durations with the error texts that users of job files see (spec jobspec-hcl §6)."""

from __future__ import annotations

import re

from yurt.fsm.lang.duration import parse_duration

_NUMBER = re.compile(r"[0-9]*\.?[0-9]*")
_UNIT = re.compile(r"[^0-9.]*")


def parse_go_duration(text: str) -> int:
    """Nanoseconds; raises ValueError that says what is wrong with the text."""
    try:
        return parse_duration(text)
    except ValueError:
        reason = _reason(text)
        where = f" in duration {_quoted(text)}" if reason != "invalid duration" else f" {_quoted(text)}"
        raise ValueError(f"time: {reason}{where}") from None


def _reason(text: str) -> str:
    rest = text[1:] if text[:1] in ("+", "-") else text
    while rest:
        number = _NUMBER.match(rest)
        assert number is not None
        if number[0] in ("", "."):
            break
        rest = rest[number.end() :]
        unit = _UNIT.match(rest)
        assert unit is not None
        if not unit[0]:
            return "missing unit"
        try:
            parse_duration("1" + unit[0])
        except ValueError:
            return f"unknown unit {_quoted(unit[0])}"
        rest = rest[unit.end() :]
    return "invalid duration"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
