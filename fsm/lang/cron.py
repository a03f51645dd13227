"""Cron specs: which local times they name, and the next one (spec scheduling §19).

Fields: `[second] minute hour day-of-month month day-of-week [year]`; five fields have second 0 and every year, six have
a year. A local time that a clock change leaves out is skipped, one that comes twice counts twice. Pure.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

SPEC_CHARACTERS_MAX = 1024
SECOND_NS = 1_000_000_000
DAY = 86_400
_EPOCH = date(1970, 1, 1)
_MACROS = {
    "@yearly": "0 0 0 1 1 * *", "@annually": "0 0 0 1 1 * *", "@monthly": "0 0 0 1 * * *",
    "@weekly": "0 0 0 * * 0 *", "@daily": "0 0 0 * * * *", "@hourly": "0 0 * * * * *",
}  # fmt: skip
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_DAYS = {name.lower(): (number + 1) % 7 for number, name in enumerate(calendar.day_name)}


class CronError(ValueError):
    """The spec is none; the text is what users read."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    words: dict[str, int]

    def number(self, text: str) -> int | None:
        """A number in range, or a name (in full or by three letters)."""
        if text.isascii() and text.isdecimal() and len(text) <= 4:
            value = int(text)
            return value if self.low <= value <= self.high else None
        for word, value in self.words.items():
            if text in (word, word[:3]):
                return value
        return None


_FIELDS = (
    _Field("second", 0, 59, {}),
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day-of-month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day-of-week", 0, 7, _DAYS),
    _Field("year", 1970, 2099, {}),
)
_DAY_OF_MONTH, _DAY_OF_WEEK = _FIELDS[3], _FIELDS[5]
_RANGE = re.compile(r"(\*|\?|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([0-9]{1,4}))?")
_NEAREST = re.compile(r"([0-9]{1,2}|l)w")
_LAST = re.compile(r"([a-z0-9]+)l")
_NTH = re.compile(r"([a-z0-9]+)#([1-5])")


@dataclass(slots=True)
class _Days:
    """What a field of days says beyond plain numbers: kinds are `last`, `nearest`, `last-nearest`, `nth`."""

    plain: frozenset[int]
    special: tuple[tuple[str, int, int], ...]
    restricted: bool


def _syntax(field: _Field, text: str) -> CronError:
    return CronError(f"syntax error in {field.name} field: '{text}'")


def _numbers(field: _Field, text: str) -> range | None:
    """The numbers of `*`, `5`, `1-5`, `*/2`, `10/2` or `1-9/2`; None if it is none of these."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, step = match.groups()
    if first in ("*", "?"):
        if last is not None or (first == "?" and field not in (_DAY_OF_MONTH, _DAY_OF_WEEK)):
            return None
        low, high = field.low, min(field.high, 6) if field is _DAY_OF_WEEK else field.high
    else:
        begin = field.number(first)
        end = begin if last is None else field.number(last)
        if begin is None or end is None or end < begin:
            return None
        low, high = begin, field.high if last is None and step is not None else end
    if step is not None and not 1 <= int(step) <= field.high:
        return None
    return range(low, high + 1, int(step or 1))


def _special(field: _Field, text: str) -> tuple[str, int, int] | None:
    """What only days have: `l`, `lw`, `15w`, `5l`, `mon#2`."""
    if field is _DAY_OF_MONTH:
        if text == "l":
            return ("last", 0, 0)
        if match := _NEAREST.fullmatch(text):
            if match[1] == "l":
                return ("last-nearest", 0, 0)
            day = field.number(match[1])
            return None if day is None else ("nearest", day, 0)
    if field is _DAY_OF_WEEK:
        match = _LAST.fullmatch(text) or _NTH.fullmatch(text)
        day = field.number(match[1]) if match else None
        if match and day is not None:
            return ("last", day % 7, 0) if match.re is _LAST else ("nth", day % 7, int(match[2]))
    return None


def _parse_field(field: _Field, text: str) -> _Days:
    plain: set[int] = set()
    special = []
    restricted = True
    for part in text.lower().split(","):
        numbers = _numbers(field, part)
        if numbers is not None:
            plain.update(numbers)
            restricted = restricted and part not in ("*", "?")
        elif (found := _special(field, part)) is not None:
            special.append(found)
        else:
            raise _syntax(field, part)
    if field is _DAY_OF_WEEK:
        plain = {day % 7 for day in sorted(plain)}
    return _Days(frozenset(plain), tuple(special), restricted)


class Cron:
    """A parsed spec."""

    __slots__ = ("_days", "_hours", "_minutes", "_months", "_seconds", "_weekdays", "_years")

    def __init__(self, fields: list[_Days]) -> None:
        second, minute, hour, self._days, month, self._weekdays, year = fields
        self._seconds, self._minutes, self._hours = sorted(second.plain), sorted(minute.plain), sorted(hour.plain)
        self._months, self._years = month.plain, sorted(year.plain)

    def next(self, after_ns: int, zone: tzinfo) -> int | None:
        """The first named time after `after_ns` (Unix nanoseconds) in a zone; None if there is none before 2100."""
        instant = after_ns // SECOND_NS + 1
        while True:
            offset = _offset(zone, instant)
            end = _end_of_offset(zone, instant, offset)
            wall = self._next_wall(instant + offset)
            if wall is None:
                return None
            if wall < end + offset:
                return (wall - offset) * SECOND_NS
            instant = max(end, wall - offset - 2 * DAY)

    def _next_wall(self, wall: int) -> int | None:
        """The first named local time from `wall` on, both in seconds since 1970 of a clock that never changes."""
        day, second = divmod(wall, DAY)
        start = _EPOCH + timedelta(days=day)
        for found in self._dates(start):
            time = self._time_from(second if found == start else 0)
            if time is not None:
                return (found - _EPOCH).days * DAY + time
        return None

    def _time_from(self, second: int) -> int | None:
        """The first named time of day from a second of the day on."""
        hour, rest = divmod(second, 3600)
        minute, low = divmod(rest, 60)
        for h in self._hours[bisect_left(self._hours, hour) :]:
            minutes = self._minutes if h > hour else self._minutes[bisect_left(self._minutes, minute) :]
            for m in minutes:
                at = bisect_left(self._seconds, low) if (h, m) == (hour, minute) else 0
                if at < len(self._seconds):
                    return h * 3600 + m * 60 + self._seconds[at]
        return None

    def _dates(self, start: date) -> Iterator[date]:
        """The named days from `start` on."""
        for year in self._years[bisect_left(self._years, start.year) :]:
            for month in sorted(self._months):
                if (year, month) < (start.year, start.month):
                    continue
                for day in self._days_of(year, month):
                    if (found := date(year, month, day)) >= start:
                        yield found

    def _days_of(self, year: int, month: int) -> list[int]:
        """The named days of a month: of either field if both say something."""
        length = calendar.monthrange(year, month)[1]
        by_number = {day for day in self._days.plain if day <= length}
        by_number.update(_monthly(self._days.special, year, month, length))
        by_week = {d for d in range(1, length + 1) if _weekday(year, month, d) in self._weekdays.plain}
        by_week.update(_weekly(self._weekdays.special, year, month, length))
        if self._days.restricted and self._weekdays.restricted:
            return sorted(by_number | by_week)
        return sorted(by_number & by_week)


def _weekday(year: int, month: int, day: int) -> int:
    """0 is Sunday."""
    return (calendar.weekday(year, month, day) + 1) % 7


def _monthly(special: Iterable[tuple[str, int, int]], year: int, month: int, length: int) -> Iterator[int]:
    for kind, day, _ in special:
        if kind == "last":
            yield length
            continue
        day = length if kind == "last-nearest" else day
        if day > length:
            continue
        weekday = _weekday(year, month, day)
        if weekday == 6:
            day += -1 if day > 1 else 2
        elif weekday == 0:
            day += 1 if day < length else -2
        yield day


def _weekly(special: Iterable[tuple[str, int, int]], year: int, month: int, length: int) -> Iterator[int]:
    for kind, weekday, number in special:
        first = 1 + (weekday - _weekday(year, month, 1)) % 7
        day = first + 7 * ((length - first) // 7 if kind == "last" else number - 1)
        if day <= length:
            yield day


def _offset(zone: tzinfo, instant: int) -> int:
    """Seconds that local clocks are ahead of UTC."""
    offset = datetime.fromtimestamp(instant, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _end_of_offset(zone: tzinfo, instant: int, offset: int) -> int:
    """The first instant with another offset, at most a day later."""
    low, high = instant, instant + DAY
    if _offset(zone, high) == offset:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def parse(spec: str) -> Cron:
    """The cron of a spec; raises `CronError`."""
    if len(spec) > SPEC_CHARACTERS_MAX:
        raise CronError(f"longer than {SPEC_CHARACTERS_MAX} characters")
    fields = _MACROS.get(spec.strip().lower(), spec).split()
    if len(fields) < 5:
        raise CronError("missing field(s)")
    if len(fields) == 5:
        fields = ["0", *fields, "*"]
    elif len(fields) == 6:
        fields = ["0", *fields]
    return Cron([_parse_field(field, text) for field, text in zip(_FIELDS, fields, strict=False)])


def next_of(specs: Iterable[str], after_ns: int, zone: tzinfo) -> int | None:
    """The earliest next time of several specs."""
    found = [at for spec in specs if (at := parse(spec).next(after_ns, zone)) is not None]
    return min(found, default=None)
