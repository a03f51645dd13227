"""Time zones by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from yurt.server.platform.tzdb import zone


@pytest.mark.parametrize(("name", "hours"), [("", 0), ("UTC", 0), ("Europe/Rome", 1), ("America/New_York", -5)])
def test_zones(name: str, hours: int) -> None:
    found = zone(name)
    assert found is not None
    assert datetime(2026, 1, 1, tzinfo=UTC).astimezone(found).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["Nope/Zone", "../../etc/passwd", "/etc/localtime", "a\0b", "x" * 5000, "Europe", "é"])
def test_no_zones(name: str) -> None:
    assert zone(name) is None
