"""Cron expressions (spec scheduling §19)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.fsm.job.periodic import next_launch
from yurt.fsm.lang.cron import CronError, parse_cron
from yurt.fsm.structs.job import Periodic

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 10**9


def ns(text: str, zone: tzinfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * SECOND


def times(spec: str, start: str, count: int, zone: tzinfo = UTC) -> list[str]:
    """The next times as local texts without the year's first digits: `26-01-09 00:00`."""
    found, at = [], ns(start, zone)
    for _ in range(count):
        following = parse_cron(spec).next_after(at, zone)
        if following is None:
            return [*found, "never"]
        assert following > at and following % SECOND == 0
        at = following
        found.append(datetime.fromtimestamp(at // SECOND, zone).isoformat(" ")[2:])
    return found


@pytest.mark.parametrize(
    ("spec", "start", "expected"),
    [
        ("30 2 * * *", "2026-03-07T12:00", ["26-03-09 02:30:00-04:00"]),  # 02:30 is missing on the 8th
        ("30 1 * * *", "2026-10-31T12:00", ["26-11-01 01:30:00-04:00", "26-11-01 01:30:00-05:00", "26-11-02 01:30:00-05:00"]),
        ("*/30 * * * *", "2026-11-01T00:45", [
            "26-11-01 01:00:00-04:00", "26-11-01 01:30:00-04:00", "26-11-01 01:00:00-05:00", "26-11-01 01:30:00-05:00",
            "26-11-01 02:00:00-05:00"]),
        ("0 * * * *", "2026-03-08T01:30", ["26-03-08 03:00:00-04:00", "26-03-08 04:00:00-04:00"]),
    ],
)  # fmt: skip
def test_changes_of_the_clock(spec: str, start: str, expected: list[str]) -> None:
    assert times(spec, start, len(expected), NEW_YORK) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("*/15 * * * * *", "26-01-01 00:15 26-01-01 00:30"),  # the sixth field is the year
        ("0 0 0 1 1 * 2030", "30-01-01 00:00 never"),
        ("0 0 1 1 * 2030", "30-01-01 00:00 never"),
        ("0 0 0 1 1 * 2030 more words", "30-01-01 00:00 never"),
        ("@daily", "26-01-02 00:00"),
        ("@DAILY", "26-01-02 00:00"),
        ("@yearly", "27-01-01 00:00"),
        ("@annually", "27-01-01 00:00"),
        ("@monthly", "26-02-01 00:00"),
        ("@weekly", "26-01-04 00:00"),
        ("@hourly", "26-01-01 01:00"),
        ("0 0 15W * *", "26-01-15 00:00 26-02-16 00:00 26-03-16 00:00"),
        ("0 0 1W * *", "26-02-02 00:00 26-03-02 00:00 26-04-01 00:00 26-05-01 00:00 26-06-01 00:00 26-07-01 00:00 26-08-03 00:00"),
        ("0 0 31W * *", "26-01-30 00:00 26-03-31 00:00 26-05-29 00:00"),
        ("0 0 LW * *", "26-01-30 00:00 26-02-27 00:00"),
        ("0 0 L 2 *", "26-02-28 00:00 27-02-28 00:00 28-02-29 00:00"),
        ("0 0 * * 5L", "26-01-30 00:00 26-02-27 00:00"),
        ("0 0 * * friL", "26-01-30 00:00"),
        ("0 0 * * 5#2", "26-01-09 00:00 26-02-13 00:00"),
        ("0 0 * * MON#5", "26-03-30 00:00 26-06-29 00:00"),
        ("0 0 ? * MON", "26-01-05 00:00 26-01-12 00:00"),
        ("0 0 13 * 5", "26-01-02 00:00 26-01-09 00:00 26-01-13 00:00 26-01-16 00:00"),
        ("0 0 13 * ?", "26-01-13 00:00 26-02-13 00:00"),
        ("0 0 * * 7", "26-01-04 00:00 26-01-11 00:00"),
        ("0 0 * * 5-7", "26-01-02 00:00 26-01-03 00:00 26-01-04 00:00 26-01-09 00:00"),
        ("0 0 * * 4/2", "26-01-03 00:00 26-01-08 00:00 26-01-10 00:00"),
        ("0 0 30 2 *", "never"),
        ("0 0 30 2 * 1970-2099", "never"),
        ("0 0 29 2 *", "28-02-29 00:00 32-02-29 00:00"),
        ("0 0 1 1 * 2020", "never"),
        ("0 12 1 Feb,march *", "26-02-01 12:00 26-03-01 12:00 27-02-01 12:00"),
        ("58/1 1-2,23 * * *", "26-01-01 01:58 26-01-01 01:59 26-01-01 02:58 26-01-01 02:59 26-01-01 23:58"),
        ("5 0 0 * * * *", "26-01-01 00:00:05 26-01-02 00:00:05"),
    ],
)  # fmt: skip
def test_next_times(spec: str, expected: str) -> None:
    found = [one.removesuffix("+00:00").removesuffix(":00") for one in times(spec, "2026-01-01T00:00:01", 8)]
    assert f"{' '.join(found)} ".startswith(f"{expected} ")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "missing field(s)"),
        ("* * * *", "missing field(s)"),
        ("@every 5m", "missing field(s)"),
        ("@reboot", "missing field(s)"),
        ("60 * * * *", "syntax error in minute field: '60'"),
        ("61 * * * *", "syntax error in minute field: '61'"),
        ("0,61 * * * *", "syntax error in minute field: '61'"),
        ("* 24 * * *", "syntax error in hour field: '24'"),
        ("* * 0 * *", "syntax error in day-of-month field: '0'"),
        ("* * 32 * *", "syntax error in day-of-month field: '32'"),
        ("* * * foo *", "syntax error in month field: 'foo'"),
        ("* * * * 8", "syntax error in day-of-week field: '8'"),
        ("* * * * 5#6", "syntax error in day-of-week field: '5#6'"),
        ("* * * * * 1969", "syntax error in year field: '1969'"),
        ("60 * * * * * *", "syntax error in second field: '60'"),
        ("*/0 * * * *", "syntax error in minute field: '*/0'"),
        ("5-1 * * * *", "syntax error in minute field: '5-1'"),
        ("-1 * * * *", "syntax error in minute field: '-1'"),
        (", * * * *", "syntax error in minute field: ''"),
        ("? * * * *", "syntax error in minute field: '?'"),
        ("٣ * * * *", "syntax error in minute field: '٣'"),
    ],
)
def test_no_expressions(spec: str, text: str) -> None:
    with pytest.raises(CronError) as refused:
        parse_cron(spec)
    assert str(refused.value) == text


def test_an_endless_expression_is_refused_at_once() -> None:
    with pytest.raises(CronError, match="minute field"):
        parse_cron("1," * 10**6 + "1 * * * *")


minutes = st.sampled_from(["*", "0", "30", "*/20", "5-7,59", "15/30"])
hours = st.sampled_from(["*", "1", "2", "0-3", "*/6", "23"])
days = st.sampled_from(["*", "1", "8", "7-9"])
weekdays = st.sampled_from(["*", "0", "1-3", "6"])
starts = st.sampled_from(
    ["2026-03-06T22:00", "2026-03-08T00:00", "2026-10-31T23:00", "2026-11-01T01:30", "2026-07-07T12:34"]
)
PARTS: dict[str, set[int]] = {
    "0": {0}, "30": {30}, "*/20": {0, 20, 40}, "5-7,59": {5, 6, 7, 59}, "15/30": {15, 45}, "1": {1}, "2": {2},
    "0-3": {0, 1, 2, 3}, "*/6": {0, 6, 12, 18}, "23": {23}, "8": {8}, "7-9": {7, 8, 9}, "1-3": {1, 2, 3}, "6": {6},
    "*": set(range(60)),
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(minutes, hours, days, weekdays, starts)
def test_walking_minute_by_minute_finds_the_same(minute: str, hour: str, day: str, weekday: str, start: str) -> None:
    at = datetime.fromtimestamp(ns(start, NEW_YORK) // SECOND, UTC)
    expected = None
    for step in range(1, 4 * 1440):
        wall = (at + timedelta(minutes=step)).astimezone(NEW_YORK)
        both = [wall.day in PARTS[day]] if day != "*" else []
        both += [wall.isoweekday() % 7 in PARTS[weekday]] if weekday != "*" else []
        if wall.minute in PARTS[minute] and wall.hour in PARTS[hour] and (not both or any(both)):
            expected = int((at + timedelta(minutes=step)).timestamp()) * SECOND
            break
    found = parse_cron(f"{minute} {hour} {day} * {weekday}").next_after(ns(start, NEW_YORK), NEW_YORK)
    if expected is None:
        assert found is not None and found > ns(start, NEW_YORK) + 4 * 86400 * SECOND - 60 * SECOND
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec": "0 0 2 1 *"}, "2026-01-02T00:00"),
        ({"specs": ("0 0 5 1 *", "0 0 3 1 *", "0 0 30 2 *")}, "2026-01-03T00:00"),
        ({"spec": "0 0 2 1 *", "enabled": False}, None),
        ({"spec": "0 0 30 2 *"}, None),
        ({"spec": "no cron"}, None),
        ({"spec": "0 0 2 1 *", "spec_type": "other"}, None),
        ({}, None),
    ],
)
def test_the_next_launch_of_a_job(fields: dict[str, Any], expected: str | None) -> None:
    found = next_launch(Periodic(**fields), ns("2026-01-01T00:00", UTC), UTC)
    assert found == (expected and ns(expected, UTC))
