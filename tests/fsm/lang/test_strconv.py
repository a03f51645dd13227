"""Durations, booleans, integers and floats as the wire protocol writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yurt.fsm.lang.duration import format_duration, parse_duration
from yurt.fsm.lang.strconv import format_float, parse_bool, parse_int, parse_uint
from yurt.fsm.structs.times import from_rfc3339, to_rfc3339

FORMS = [
    (0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (1_500_000_000, "1.5s"), (300_000_000_000, "5m0s"), (3_600_000_000_000, "1h0m0s"),
    (74_560_000_000_000, "20h42m40s"), (-1, "-1ns"), (15_000_000, "15ms"), (90_061_500_000_000, "25h1m1.5s"),
]  # fmt: skip


@pytest.mark.parametrize(("ns", "text"), FORMS)
def test_durations_are_written_and_read(ns: int, text: str) -> None:
    assert format_duration(ns) == text
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1m 2s", "--1s", "1h-2m", "9" * 40 + "h", "1.2.3s", "٣s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@given(st.integers(-(2**62), 2**62))
def test_every_duration_comes_back(ns: int) -> None:
    assert parse_duration(format_duration(ns)) == ns


@given(st.integers(0, 4 * 10**18))
def test_every_time_comes_back(ns: int) -> None:
    assert from_rfc3339(to_rfc3339(ns)) == ns


def test_booleans_and_integers() -> None:
    assert [parse_bool(text) for text in ("1", "t", "True", "0", "F", "false")] == [True] * 3 + [False] * 3
    assert (parse_int("-7"), parse_uint("18446744073709551615")) == (-7, 2**64 - 1)
    for parse, text in (
        (parse_bool, "yes"),
        (parse_int, "x"),
        (parse_int, "1_0"),
        (parse_uint, "-1"),
        (parse_uint, str(2**64)),
    ):
        with pytest.raises(ValueError, match="strconv"):
            parse(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (-3.0, "-3"), (0.1, "0.1"), (1.5, "1.5"), (0.0001, "0.0001"), (0.00001, "1e-05"),
        (1.25e-5, "1.25e-05"), (99999.5, "99999.5"), (100000.0, "100000"), (123456.7, "123456.7"), (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"), (123456789.0, "1.23456789e+08"), (1e21, "1e+21"), (-1.5e300, "-1.5e+300"), (5e-324, "5e-324"),
    ],
)  # fmt: skip
def test_floats(value: float, text: str) -> None:
    assert format_float(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back(value: float) -> None:
    assert float(format_float(value)) == value
