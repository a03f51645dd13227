"""Cron specs: which local times they name, and the next one (spec scheduling §19).

Fields: `[second] minute hour day-of-month month day-of-week [year]`; five fields have second 0 and every year, six have
a year. A local time that a clock change leaves out is skipped, one that comes twice counts twice. Pure.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache

SPEC_CHARACTERS_MAX = 1024
SECOND_NS = 1_000_000_000
DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
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

    @property
    def top(self) -> int:
        """Where open ranges end: the week ends with Saturday, though 7 is Sunday too."""
        return 6 if self.high == 7 else self.high

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


@dataclass(frozen=True, slots=True)
class _Days:
    """A parsed field: its numbers, and its day-only terms of kinds `last`, `nearest`, `last-nearest`, `nth`."""

    plain: int  # a mask
    special: tuple[tuple[str, int, int], ...]
    restricted: bool


def _numbers(field: _Field, text: str) -> range | None:
    """The numbers of `*`, `5`, `1-5`, `*/2`, `10/2` or `1-9/2`; None if it is none of these."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, step = match.groups()
    if first in ("*", "?"):
        if last is not None or (first == "?" and field not in (_DAY_OF_MONTH, _DAY_OF_WEEK)):
            return None
        low, high = field.low, field.top
    else:
        begin = field.number(first)
        end = begin if last is None else field.number(last)
        if begin is None or end is None or end < begin:
            return None
        low, high = begin, field.top if last is None and step is not None else end
    if step is not None and not 1 <= int(step) <= field.high:
        return None
    return range(low, high + 1, int(step or 1))


def _special(field: _Field, text: str) -> tuple[str, int, int] | None:
    """Return a term that only days have: `l`, `lw`, `15w`, `5l`, `mon#2`; None if it is none of these."""
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
    plain, special, restricted = 0, [], True
    for part in text.split(","):
        folded = part.lower()
        numbers = _numbers(field, folded)
        if numbers is not None:
            for number in numbers:
                plain |= 1 << (number % 7 if field is _DAY_OF_WEEK else number)
            restricted = restricted and folded not in ("*", "?")
        elif (found := _special(field, folded)) is not None:
            special.append(found)
        else:
            raise CronError(f"syntax error in {field.name} field: '{part}'")
    return _Days(plain, tuple(dict.fromkeys(special)), restricted)


class Cron:
    """A parsed spec. Days of a month and of a week are bit masks: bit 1 is the first of the month, bit 0 Sunday."""

    __slots__ = ("_days", "_days_by_month", "_hours", "_minutes", "_months", "_seconds", "_weekdays", "_years")

    def __init__(self, fields: list[_Days]) -> None:
        second, minute, hour, self._days, month, self._weekdays, year = fields
        self._seconds, self._minutes, self._hours = _listed(second), _listed(minute), _listed(hour)
        self._months, self._years = _listed(month), _listed(year)
        self._days_by_month: dict[tuple[int, int], int] = {}  # there are 28 kinds of months

    def next(self, after_ns: int, zone: tzinfo) -> int | None:
        """The first named time after `after_ns` (Unix nanoseconds) in a zone; None if there is none before 2100."""
        instant = after_ns // SECOND_NS + 1
        while True:
            offset = _offset(zone, instant)
            wall = self._next_wall(instant + offset)
            if wall is None:
                return None
            if zone is UTC:
                return wall * SECOND_NS
            end = _end_of_offset(zone, instant, offset)
            if wall < end + offset:
                return (wall - offset) * SECOND_NS
            instant = max(end, wall - offset - 2 * DAY)

    def _next_wall(self, wall: int) -> int | None:
        """The first named local time from `wall` on, both in seconds since 1970 of a clock that never changes."""
        day, second = divmod(wall, DAY)
        start = date.fromordinal(_EPOCH + day)
        for year in self._years[bisect_left(self._years, start.year) :]:
            begin = bisect_left(self._months, start.month) if year == start.year else 0
            for month in self._months[begin:]:
                kind = _month(year, month)
                days = self._days_by_month.get(kind, -1)
                if days < 0:
                    days = self._days_by_month[kind] = self._days_of(*kind)
                this_month = (year, month) == (start.year, start.month)
                if this_month:
                    days &= -1 << start.day
                while days:
                    number = (days & -days).bit_length() - 1
                    days &= days - 1
                    time = self._time_from(second if this_month and number == start.day else 0)
                    if time is not None:
                        return (date(year, month, number).toordinal() - _EPOCH) * DAY + time
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

    def _days_of(self, first: int, length: int) -> int:
        """The named days of a kind of month: of either field if both say something."""
        whole = (2 << length) - 2
        by_number = self._days.plain
        for kind, day, _ in self._days.special:
            by_number |= _monthly(kind, day, first, length)
        by_week = (self._weekdays.plain * _EVERY_WEEK >> first) << 1
        for kind, weekday, number in self._weekdays.special:
            by_week |= _weekly(kind, weekday, number, first, length)
        if self._days.restricted and self._weekdays.restricted:
            return (by_number | by_week) & whole
        return by_number & by_week & whole


_EVERY_WEEK = sum(1 << 7 * week for week in range(6))


def _listed(field: _Days) -> list[int]:
    """The numbers of a mask, sorted."""
    return [number for number in range(field.plain.bit_length()) if field.plain >> number & 1]


@lru_cache(4096)
def _month(year: int, month: int) -> tuple[int, int]:
    """The weekday of the first (0 is Sunday), and how many days there are."""
    monday_is_zero, length = calendar.monthrange(year, month)
    return (monday_is_zero + 1) % 7, length


def _monthly(kind: str, day: int, first: int, length: int) -> int:
    """The mask of `last`, `last-nearest` or `nearest` to a day: a working day of the same month."""
    if kind == "last":
        return 1 << length
    day = length if kind == "last-nearest" else day
    if day > length:
        return 0
    weekday = (first + day - 1) % 7
    if weekday == 6:
        day += -1 if day > 1 else 2
    elif weekday == 0:
        day += 1 if day < length else -2
    return 1 << day


def _weekly(kind: str, weekday: int, number: int, first: int, length: int) -> int:
    """The mask of the last or the n-th of a weekday; none if the month has no fifth."""
    day = 1 + (weekday - first) % 7
    day += 7 * ((length - day) // 7 if kind == "last" else number - 1)
    return 1 << day if day <= length else 0


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


@lru_cache(1024)
def parse(spec: str) -> Cron:
    """The cron of a spec; raises `CronError`. Specs that many jobs share are read once."""
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
