"""Cron expressions: when the next time is (spec scheduling §19).

    [second] minute hour day-of-month month day-of-week [year]

Five fields, six with the year, seven with the second too; more are ignored. A field is `*` or a list of `a`, `a-b`,
`a/step`, `a-b/step`, `*/step`; months and days of the week have names. Day of month: also `L` (the last), `15W` (the
working day nearest to the 15th), `LW`; day of week: also `5L` (the last Friday), `5#2` (the second one). `?` is `*` in
both. If both are restricted either may match. Times are wall times that exist: a local time that a change of the clock
leaves out is skipped, one that it repeats comes twice.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from yurt.fsm.structs.times import SECOND

LENGTH_MAX = 1024
YEAR_MIN, YEAR_MAX = 1970, 2099
_CALENDAR_YEARS = 29  # after 28 years the calendar repeats
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MACROS = {
    "@yearly": "0 0 0 1 1 * *",
    "@annually": "0 0 0 1 1 * *",
    "@monthly": "0 0 0 1 * * *",
    "@weekly": "0 0 0 * * 0 *",
    "@daily": "0 0 0 * * * *",
    "@hourly": "0 0 * * * * *",
}
_SPAN = re.compile(r"(?:(\*)|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:/([0-9]{1,9}))?\Z")
_OF_MONTH = re.compile(r"([0-9]{1,2})w\Z")
_OF_WEEK = re.compile(r"([0-9a-z]+)(?:(l)|#([1-5]))\Z")


class CronError(ValueError):
    """The text is no cron expression; says why."""


@dataclass(frozen=True)
class _Field:
    """Name, bounds and the names of the numbers from the first on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int | None:
        """The number of a word, None if it is none of the field's."""
        if text.isdigit():
            return int(text) if len(text) < 5 and self.low <= int(text) <= self.high else None
        found = [at for at, name in enumerate(self.names) if text in (name, name[:3])]
        return found[0] + self.low if found else None

    def error(self, text: str) -> CronError:
        return CronError(f"syntax error in {self.name} field: '{text}'")


_MONTHS = tuple(name.lower() for name in calendar.month_name[1:])
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_SECOND, _MINUTE, _HOUR = _Field("second", 0, 59), _Field("minute", 0, 59), _Field("hour", 0, 23)
_DAY, _MONTH = _Field("day-of-month", 1, 31), _Field("month", 1, 12, _MONTHS)
_WEEKDAY, _YEAR = _Field("day-of-week", 0, 7, _DAYS), _Field("year", YEAR_MIN, YEAR_MAX)

# Days that only the month itself says: a function of the days in it and of the weekday (0 is Sunday) of its first.
_Rule = Callable[[int, int], int]


@dataclass(frozen=True)
class Cron:
    """A parsed expression. The clock's numbers are sorted; None is any day."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    day_rules: tuple[_Rule, ...]
    months: frozenset[int]
    weekdays: frozenset[int] | None
    weekday_rules: tuple[_Rule, ...]
    years: tuple[int, ...]
    any_year: bool

    def next_after(self, after_ns: int, zone: tzinfo) -> int | None:
        """The first time later than `after_ns` (nanoseconds since 1970), on wall clocks of `zone`; None if never."""
        after = after_ns // SECOND
        start = (_EPOCH + timedelta(seconds=after)).astimezone(zone).date()
        for day in self._dates(start):
            if (found := self._in_day(day, after, zone)) is not None:
                return found * SECOND
        return None

    def _dates(self, start: date) -> Iterator[date]:
        last = start.year + _CALENDAR_YEARS if self.any_year else YEAR_MAX
        for year in self.years:
            if not start.year <= year <= last:
                continue
            for month in range(start.month if year == start.year else 1, 13):
                if month in self.months:
                    for day in self._days(year, month):
                        if (one := date(year, month, day)) >= start:
                            yield one

    def _days(self, year: int, month: int) -> list[int]:
        first, length = (calendar.weekday(year, month, 1) + 1) % 7, calendar.monthrange(year, month)[1]
        if self.days is None and self.weekdays is None:
            return list(range(1, length + 1))
        found: set[int] = set()
        if self.days is not None:
            found |= self.days | {rule(length, first) for rule in self.day_rules}
        if self.weekdays is not None:
            found.update(day for day in range(1, length + 1) if (first + day - 1) % 7 in self.weekdays)
            found |= {rule(length, first) for rule in self.weekday_rules}
        return sorted(day for day in found if 1 <= day <= length)

    def _in_day(self, day: date, after: int, zone: tzinfo) -> int | None:
        """The first second of the day that is later; the clock may go back or forward in it."""
        midnight = datetime.combine(day, time(), zone)
        steady = midnight.utcoffset() == (midnight + timedelta(days=1)).utcoffset()
        best: int | None = None
        for hour in self.hours:
            for minute in self.minutes:
                for fold in (0,) if steady else (0, 1):
                    begin = _existing(midnight.replace(hour=hour, minute=minute, fold=fold))
                    if begin is None or begin + 59 <= after or (best is not None and begin >= best):
                        continue
                    later = [begin + second for second in self.seconds if begin + second > after]
                    if later and (best is None or later[0] < best):
                        best = later[0]
                if best is not None and steady:
                    return best
        return best


def _existing(wall: datetime) -> int | None:
    """The second of a wall time, None if no clock ever shows it."""
    instant = wall.astimezone(UTC)
    shown = instant.astimezone(wall.tzinfo)
    if (shown.hour, shown.minute, shown.day) != (wall.hour, wall.minute, wall.day):
        return None
    return (instant - _EPOCH) // timedelta(seconds=1)


@lru_cache(1024)
def parse_cron(text: str) -> Cron:
    """The expression; raises `CronError`."""
    words = _MACROS.get(text.strip().lower(), text).lower().split()
    if len(words) < 5:
        raise CronError("missing field(s)")
    if len(text) > LENGTH_MAX:
        raise _MINUTE.error(text[:16])
    if len(words) == 5:
        words = ["0", *words, "*"]
    elif len(words) == 6:
        words = ["0", *words]
    second, minute, hour, day, month, weekday, year = words[:7]
    days, day_rules = _days_of(_DAY, day, _day_rule)
    weekdays, weekday_rules = _days_of(_WEEKDAY, weekday, _weekday_rule)
    return Cron(
        seconds=tuple(sorted(_numbers(_SECOND, second))),
        minutes=tuple(sorted(_numbers(_MINUTE, minute))),
        hours=tuple(sorted(_numbers(_HOUR, hour))),
        days=days,
        day_rules=day_rules,
        months=frozenset(_numbers(_MONTH, month)),
        weekdays=None if weekdays is None else frozenset(number % 7 for number in weekdays),
        weekday_rules=weekday_rules,
        years=tuple(sorted(_numbers(_YEAR, year))),
        any_year=year == "*",
    )


def _numbers(field: _Field, text: str) -> set[int]:
    found: set[int] = set()
    for entry in text.split(","):
        found |= _span(field, entry)
    return found


def _span(field: _Field, entry: str) -> set[int]:
    match = _SPAN.match(entry)
    if match is None:
        raise field.error(entry)
    star, first, last, step = match.groups()
    low = field.low if star else field.number(first)
    high = field.high if star or (step and not last) else field.number(last or first)
    if low is None or high is None or low > high or (step and not int(step)):
        raise field.error(entry)
    if field is _WEEKDAY and not last and high != low:
        high = 6  # 7 is Sunday too
    return set(range(low, high + 1, int(step or 1)))


def _days_of(
    field: _Field, text: str, rule_of: Callable[[str], _Rule | None]
) -> tuple[frozenset[int] | None, tuple[_Rule, ...]]:
    """The plain numbers (None for any day) and the rules of a day field."""
    if text in ("*", "?"):
        return None, ()
    numbers: set[int] = set()
    rules: list[_Rule] = []
    for entry in text.split(","):
        if (rule := rule_of(entry)) is not None:
            rules.append(rule)
        else:
            numbers |= _span(field, entry)
    return frozenset(numbers), tuple(rules)


def _day_rule(entry: str) -> _Rule | None:
    if entry == "l":
        return lambda length, _first: length
    if entry == "lw":
        return lambda length, first: _nearest_working_day(length, length, first)
    match = _OF_MONTH.match(entry)
    wanted = _DAY.number(match[1]) if match else None
    if wanted is None:
        return None
    return lambda length, first: _nearest_working_day(wanted, length, first) if wanted <= length else 0


def _nearest_working_day(day: int, length: int, first: int) -> int:
    """The working day nearest to `day` in the same month."""
    weekday = (first + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _weekday_rule(entry: str) -> _Rule | None:
    match = _OF_WEEK.match(entry)
    number = _WEEKDAY.number(match[1]) if match else None
    if match is None or number is None:
        return None
    wanted = number % 7
    if match[2]:
        return lambda length, first: length - (first + length - 1 - wanted) % 7
    week = int(match[3])
    return lambda _length, first: 1 + (wanted - first) % 7 + 7 * (week - 1)
