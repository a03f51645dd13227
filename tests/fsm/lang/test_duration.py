"""Durations: what is none is found at once, however long it is."""

from __future__ import annotations

import pytest

from yurt.fsm.lang.duration import parse_duration


@pytest.mark.parametrize(
    "text", ["9" * 1_000_000, "1.5" * 500_000, "-" + "1h" * 500_000], ids=["digits", "dots", "parts"]
)
def test_s17_a_long_text_is_no_duration_and_takes_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("0", "1.5h", "-1m30s", "300ms")] == [
        0,
        5_400 * 10**9,
        -90 * 10**9,
        3 * 10**8,
    ]
