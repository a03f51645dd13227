"""Cron specs: what they name, in which zone, and what is none."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.fsm.lang.cron import CronError, next_of, parse
from yurt.server.platform.tzdb import zone

SECOND = 1_000_000_000


def nexts(spec: str, name: str, start: str, count: int) -> list[str | None]:
    place = zone(name)
    assert place is not None
    cron, at = parse(spec), int(datetime.fromisoformat(start).replace(tzinfo=place).timestamp()) * SECOND
    found: list[str | None] = []
    for _ in range(count):
        following = cron.next(at, place)
        if following is None:
            return [*found, None]
        at = following
        found.append(datetime.fromtimestamp(at // SECOND, place).isoformat(timespec="minutes"))
    return found


NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("spec", "name", "start", "expected"),
    [
        # a local time that a clock change leaves out is skipped; one that comes twice counts twice
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", ["2026-03-09T02:30-04:00"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", ["2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00"]),
        (
            "*/30 * * * *", NEW_YORK, "2026-11-01T00:30",
            ["2026-11-01T01:00-04:00", "2026-11-01T01:30-04:00", "2026-11-01T01:00-05:00", "2026-11-01T01:30-05:00",
             "2026-11-01T02:00-05:00"],
        ),
        ("0 12 * * *", "Australia/Lord_Howe", "2026-10-03T13:00", ["2026-10-04T12:00+11:00"]),
        # six fields: the last is the year; seven: the first is the second
        ("*/15 * * * * *", "UTC", "2026-01-01T00:00", ["2026-01-01T00:15+00:00", "2026-01-01T00:30+00:00"]),
        ("0 0 0 1 1 * 2030", "UTC", "2026-01-01T00:00", ["2030-01-01T00:00+00:00", None]),
        ("0 0 1 1 * 2030", "UTC", "2026-01-01T00:00", ["2030-01-01T00:00+00:00", None]),
        ("0 0 1 1 * 2030,2032-2033", "UTC", "2030-06-01T00:00", ["2032-01-01T00:00+00:00", "2033-01-01T00:00+00:00"]),
        # days by weekday, from the end, nearest
        ("0 0 15W * *", "UTC", "2026-01-01T00:00", ["2026-01-15T00:00+00:00", "2026-02-16T00:00+00:00"]),
        ("0 0 1W * *", "UTC", "2026-07-15T00:00", ["2026-08-03T00:00+00:00", "2026-09-01T00:00+00:00"]),
        ("0 0 31W * *", "UTC", "2026-04-15T00:00", ["2026-05-29T00:00+00:00", "2026-07-31T00:00+00:00"]),
        ("0 0 LW * *", "UTC", "2026-01-01T00:00", ["2026-01-30T00:00+00:00", "2026-02-27T00:00+00:00"]),
        ("0 0 L * *", "UTC", "2028-02-01T00:00", ["2028-02-29T00:00+00:00", "2028-03-31T00:00+00:00"]),
        ("0 0 * * 5L", "UTC", "2026-01-01T00:00", ["2026-01-30T00:00+00:00", "2026-02-27T00:00+00:00"]),
        ("0 0 * * FRI#2", "UTC", "2026-01-01T00:00", ["2026-01-09T00:00+00:00", "2026-02-13T00:00+00:00"]),
        ("0 0 * * mon#5", "UTC", "2026-01-01T00:00", ["2026-03-30T00:00+00:00", "2026-06-29T00:00+00:00"]),
        ("0 0 ? * Monday", "UTC", "2026-01-01T00:00", ["2026-01-05T00:00+00:00"]),
        ("0 0 * * 1/2", "UTC", "2026-01-02T00:00", ["2026-01-05T00:00+00:00", "2026-01-07T00:00+00:00"]),
        ("0 0 * * FRI-7", "UTC", "2026-01-01T00:00", ["2026-01-02T00:00+00:00", "2026-01-03T00:00+00:00", "2026-01-04T00:00+00:00"]),
        ("0 0 * * 7", "UTC", "2026-01-01T00:00", ["2026-01-04T00:00+00:00"]),
        ("0 0 1 february,APR-may *", "UTC", "2026-01-01T00:00", ["2026-02-01T00:00+00:00", "2026-04-01T00:00+00:00"]),
        # both day fields say something: either matches
        ("0 0 13 * 5", "UTC", "2026-01-01T00:00", ["2026-01-02T00:00+00:00", "2026-01-09T00:00+00:00",
                                                  "2026-01-13T00:00+00:00", "2026-01-16T00:00+00:00"]),
        ("0 0 30 2 *", "UTC", "2026-01-01T00:00", [None]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["2028-02-29T00:00+00:00"]),
        ("5/20 8-10/2 * * *", "UTC", "2026-01-01T08:30", ["2026-01-01T08:45+00:00", "2026-01-01T10:05+00:00"]),
        ("@hourly", "UTC", "2026-01-01T08:30", ["2026-01-01T09:00+00:00"]),
        ("@daily", "Asia/Kolkata", "2026-01-01T08:30", ["2026-01-02T00:00+05:30"]),
        ("@weekly", "UTC", "2026-01-01T08:30", ["2026-01-04T00:00+00:00"]),
        ("@monthly", "UTC", "2026-01-01T08:30", ["2026-02-01T00:00+00:00"]),
        ("@yearly", "UTC", "2026-01-01T08:30", ["2027-01-01T00:00+00:00"]),
        ("@annually", "UTC", "2026-01-01T08:30", ["2027-01-01T00:00+00:00"]),
        ("0 0 0 1 1 * * more words", "UTC", "2026-01-01T08:30", ["2027-01-01T00:00+00:00"]),
    ],
)  # fmt: skip
def test_the_next_times(spec: str, name: str, start: str, expected: list[str | None]) -> None:
    assert nexts(spec, name, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("every day", "missing field(s)"),
        ("* * * *", "missing field(s)"),
        ("@every 5m", "missing field(s)"),
        ("@reboot", "missing field(s)"),
        ("", "missing field(s)"),
        ("61 * * * *", "syntax error in minute field: '61'"),
        ("60 * * * *", "syntax error in minute field: '60'"),
        ("* 24 * * *", "syntax error in hour field: '24'"),
        ("* * 0 * *", "syntax error in day-of-month field: '0'"),
        ("* * * 13 *", "syntax error in month field: '13'"),
        ("* * * * 8", "syntax error in day-of-week field: '8'"),
        ("* * * * * 1969", "syntax error in year field: '1969'"),
        ("60 * * * * * *", "syntax error in second field: '60'"),
        ("1,x * * * *", "syntax error in minute field: 'x'"),
        ("9-5 * * * *", "syntax error in minute field: '9-5'"),
        ("*/0 * * * *", "syntax error in minute field: '*/0'"),
        ("* * 32W * *", "syntax error in day-of-month field: '32W'"),
        ("* * * * 5#6", "syntax error in day-of-week field: '5#6'"),
        ("? * * * *", "syntax error in minute field: '?'"),
        ("-1 * * * *", "syntax error in minute field: '-1'"),
        ("٣ * * * *", "syntax error in minute field: '٣'"),
        ("1,, * * * *", "syntax error in minute field: ''"),
        ("9" * 2000, "longer than 1024 characters"),
    ],
)
def test_what_is_no_spec(spec: str, text: str) -> None:
    with pytest.raises(CronError) as error:
        parse(spec)
    assert str(error.value) == text


numbers = st.integers(0, 59).map(str)
minute_fields = st.one_of(st.just("*"), numbers, st.integers(1, 59).map(lambda n: f"*/{n}"), st.just("10-40/7"))
hour_fields = st.one_of(st.just("*"), st.integers(0, 23).map(str), st.just("*/5"), st.just("1-3"))
dom_fields = st.one_of(st.just("*"), st.integers(1, 31).map(str), st.just("L"), st.just("1,15"))
dow_fields = st.one_of(st.just("*"), st.integers(0, 7).map(str), st.just("1-5"))
zones = st.sampled_from(["UTC", NEW_YORK, "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"])


def names(fields: list[str], local: datetime) -> bool:
    """Whether a minute is named: said anew, by the plain reading of the fields."""

    def matches(text: str, value: int, low: int, high: int) -> bool:
        for part in text.split(","):
            body, _, step = part.partition("/")
            first, _, last = body.partition("-")
            begin, end = (low, high) if first == "*" else (int(first), int(last or first))
            if begin <= value <= end and (value - begin) % int(step or 1) == 0:
                return True
        return False

    minute, hour, dom, _, dow = fields
    length = calendar.monthrange(local.year, local.month)[1]
    by_dom = local.day == length if dom == "L" else matches(dom, local.day, 1, 31)
    weekday = local.isoweekday() % 7
    by_dow = matches(dow, weekday, 0, 6) or (weekday == 0 and matches(dow, 7, 0, 6))
    by_day = (by_dom or by_dow) if dom != "*" and dow != "*" else (by_dom and by_dow)
    return matches(minute, local.minute, 0, 59) and matches(hour, local.hour, 0, 23) and by_day


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(minute_fields, hour_fields, dom_fields, dow_fields), zones, st.integers(1_760_000_000, 1_800_000_000),
)  # fmt: skip
def test_no_named_minute_is_passed_over(given_fields: tuple[str, ...], name: str, start: int) -> None:
    minute, hour, dom, dow = given_fields
    fields = [minute, hour, dom, "*", dow]
    place = zone(name)
    assert place is not None
    cron = parse(" ".join(fields))
    found = cron.next(start * SECOND, place)
    assert found is not None and found > start * SECOND
    assert names(fields, datetime.fromtimestamp(found // SECOND, place))
    at = datetime.fromtimestamp(start - start % 60 + 60, UTC)
    while at.timestamp() < min(found // SECOND, start + 3 * 86_400):
        assert not names(fields, at.astimezone(place)), at
        at += timedelta(minutes=1)


def test_the_earliest_of_several() -> None:
    assert next_of(["0 0 * * *", "0 6 * * *", "0 0 30 2 *"], 0, UTC) == 6 * 3600 * SECOND
    assert next_of([], 0, UTC) is None


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../etc/passwd", "/etc/localtime", "tzdata.zi", "Europe", "a" * 99, "zone.tab"]
)
def test_unknown_zones(name: str) -> None:
    assert zone(name) is None
