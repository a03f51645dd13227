"""Functions of times."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from yurt.server.jobspec.durations import parse_go_duration
from yurt.server.jobspec.functions.signature import ArgumentError, FunctionError, function, go_quoted
from yurt.server.jobspec.values import Value, text

_FIELDS = (
    ("year", r"\d{4}", "-"), ("month", r"\d\d", "-"), ("day of month", r"\d\d", "T"), ("hour", r"\d\d", ":"),
    ("minute", r"\d\d", ":"), ("second", r"\d\d", ""),
)  # fmt: skip
_BOUNDS = {
    "year": (0, 9999), "month": (1, 12), "day of month": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59),
}  # fmt: skip
_ZONE = re.compile(r"(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
_RUN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|'|[^A-Za-z']+")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def _timestamp(given: str) -> datetime:
    """The time of an RFC 3339 text; raises FunctionError with the first part that is wrong."""
    rest, numbers = given, []
    for name, pattern, separator in _FIELDS:
        match = re.match(pattern, rest)
        if match is None:
            where = f"cannot use {go_quoted(rest)} as {name}" if rest else f"end of string before {name}"
            raise FunctionError(f"not a valid RFC3339 timestamp: {where}")
        numbers.append(int(match[0]))
        rest = rest[match.end() :]
        if not _BOUNDS[name][0] <= numbers[-1] <= _BOUNDS[name][1]:
            where = f"cannot use {go_quoted(rest)} as {name}"
            raise FunctionError(f"not a valid RFC3339 timestamp: {where}")
        if separator and not rest.startswith(separator):
            raise FunctionError(f"not a valid RFC3339 timestamp: {_missing(rest, separator)}")
        rest = rest[len(separator) :]
    zone = _ZONE.match(rest)
    if zone is None:
        where = f"cannot use {go_quoted(rest)} as UTC offset" if rest else "end of string before UTC offset"
        raise FunctionError(f"not a valid RFC3339 timestamp: {where}")
    offset = timedelta()
    if zone[2] != "Z":
        offset = timedelta(hours=int(zone[2][1:3]), minutes=int(zone[2][4:]))
        offset = -offset if zone[2][0] == "-" else offset
    try:
        year, month, day, hour, minute, second = numbers
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset))
    except ValueError as error:
        raise FunctionError(f"not a valid RFC3339 timestamp: {error}") from None


def _missing(rest: str, separator: str) -> str:
    if separator == "T" and rest:
        return "missing required time introducer 'T'"
    if not rest:
        return f'end of string where "{separator}" is expected'
    return f'found {go_quoted(rest)} where "{separator}" is expected'


def _rfc3339(moment: datetime) -> str:
    shown = moment.isoformat(timespec="seconds")
    return shown.removesuffix("+00:00") + "Z" if shown.endswith("+00:00") else shown


@function("timeadd", "timestamp:string", "duration:string")
def _timeadd(timestamp: Value, duration: Value) -> Value:
    moment = _timestamp(timestamp.raw)
    try:
        nanoseconds = parse_go_duration(duration.raw)
        return text(_rfc3339(moment + timedelta(microseconds=nanoseconds // 1000)))
    except (ValueError, OverflowError) as error:
        raise FunctionError(str(error)) from None


@function("formatdate", "format:string", "time:string")
def _formatdate(layout: Value, time: Value) -> Value:
    try:
        moment = _timestamp(time.raw)
    except FunctionError as error:
        raise ArgumentError(1, str(error)) from None
    parts: list[str] = []
    for run in _RUN.finditer(layout.raw):
        if run[1] is not None:
            parts.append(run[1].replace("''", "'"))
        elif run[2] is None:
            if run[0] == "'":
                raise ArgumentError(0, "unterminated literal '")
            parts.append(run[0])
        else:
            parts.append(_verb(run[0], moment))
    return text("".join(parts))


def _verb(run: str, moment: datetime) -> str:
    hour = moment.hour % 12 or 12
    known = {
        "YYYY": f"{moment.year:04}", "YY": f"{moment.year % 100:02}",
        "MMMM": _MONTHS[moment.month - 1], "MMM": _MONTHS[moment.month - 1][:3],
        "MM": f"{moment.month:02}", "M": str(moment.month),
        "DD": f"{moment.day:02}", "D": str(moment.day),
        "EEEE": _DAYS[moment.weekday()], "EEE": _DAYS[moment.weekday()][:3],
        "hh": f"{moment.hour:02}", "h": str(moment.hour), "HH": f"{hour:02}", "H": str(hour),
        "AA": "AM" if moment.hour < 12 else "PM", "aa": "am" if moment.hour < 12 else "pm",
        "mm": f"{moment.minute:02}", "m": str(moment.minute), "ss": f"{moment.second:02}", "s": str(moment.second),
    }  # fmt: skip
    if run in known:
        return known[run]
    zone = moment.strftime("%z")
    zones = {
        "ZZZZZ": zone[:3] + ":" + zone[3:], "ZZZZ": zone, "ZZZ": "UTC" if zone == "+0000" else zone,
        "Z": "Z" if zone == "+0000" else zone[:3] + ":" + zone[3:],
    }  # fmt: skip
    if run in zones:
        return zones[run]
    expected = {
        "Y": "year must either be \"YY\" or \"YYYY\"", "M": "month must be \"M\", \"MM\", \"MMM\", or \"MMMM\"",
        "D": "day of month must either be \"D\" or \"DD\"", "E": "day of week must either be \"EEE\" or \"EEEE\"",
        "h": "24-hour must either be \"h\" or \"hh\"", "H": "12-hour must either be \"H\" or \"HH\"",
        "A": "must be \"AA\"", "a": "must be \"aa\"",
        "m": "minute must either be \"m\" or \"mm\"", "s": "second must either be \"s\" or \"ss\"",
        "Z": "timezone must be Z, ZZZZ, or ZZZZZ",
    }  # fmt: skip
    if run[0] in expected:
        raise ArgumentError(0, f'invalid date format verb "{run}": {expected[run[0]]}')
    raise ArgumentError(0, f'invalid date format verb "{run}"')
