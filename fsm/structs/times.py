"""RFC 3339 times with nanoseconds, as the wire shows those that are no integers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000
ZERO_TIME = "0001-01-01T00:00:00Z"  # what the wire shows for no time


def to_rfc3339(ns: int) -> str:
    """Nanoseconds since 1970 as UTC text: `2026-11-24T09:14:00.5Z` (trailing zeros of the fraction are left out)."""
    seconds, rest = divmod(ns, SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text}{fraction}Z"


def from_rfc3339(text: str) -> int:
    """Nanoseconds since 1970 of a text in UTC or with an offset; raises ValueError."""
    head, dot, tail = text.partition(".")
    if not dot:
        return _seconds(text) * SECOND
    digits = tail.rstrip("Z")
    zone = ""
    for sign in "+-":
        if sign in digits:
            digits, zone = digits.split(sign)[0], sign + digits.split(sign)[1]
    return _seconds(head + (zone or "Z")) * SECOND + int(digits[:9].ljust(9, "0"))


def _seconds(text: str) -> int:
    delta = datetime.fromisoformat(text.replace("Z", "+00:00")) - _EPOCH
    return delta.days * 86400 + delta.seconds
