"""What a periodic block must say, and when its job is due next."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.fsm.job.validate.periodic import SPECS_MAX, next_launch, periodic_errors
from yurt.fsm.structs.job import Job, ParameterizedJob, Periodic
from yurt.server.platform.tzdb import zone

DAILY = ("0 0 * * *",)
DAY = 86_400_000_000_000


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"specs": DAILY}, []),
        ({"spec": "@daily"}, []),
        ({"specs": DAILY, "time_zone": "Europe/Berlin"}, []),
        ({"specs": DAILY, "time_zone": ""}, []),
        ({}, ["Must specify a spec"]),
        ({"spec": "@daily", "specs": DAILY}, ["Only cron or crons may be used"]),
        ({"specs": DAILY, "time_zone": "Mars/Olympus"}, ['Invalid time zone "Mars/Olympus": unknown time zone Mars/Olympus']),
        ({"specs": DAILY, "spec_type": "calendar"}, ['Unknown periodic specification type "calendar"']),
        (
            {"specs": ("@daily", "every day", "61 * * * *")},
            ['Invalid cron spec "every day": missing field(s)', "Invalid cron spec \"61 * * * *\": syntax error in minute field: '61'"],
        ),
        ({"specs": DAILY * SPECS_MAX}, []),
        ({"specs": DAILY * (SPECS_MAX + 1)}, ["Too many cron specs: 101 > 100"]),
    ],
)  # fmt: skip
def test_what_a_block_must_say(fields: dict[str, Any], expected: list[str]) -> None:
    assert list(periodic_errors(Periodic(**fields), zone)) == expected


@pytest.mark.parametrize(
    ("block", "job", "expected"),
    [
        ({"specs": DAILY}, {}, DAY),
        ({"specs": ("0 6 * * *", *DAILY)}, {}, DAY // 4),
        ({"spec": "@daily"}, {}, DAY),
        ({"specs": DAILY, "time_zone": "America/New_York"}, {}, DAY * 5 // 24),
        ({"specs": DAILY, "enabled": False}, {}, None),
        ({"specs": DAILY}, {"stop": True}, None),
        ({"specs": DAILY}, {"parameterized_job": ParameterizedJob()}, None),
        ({"specs": DAILY, "time_zone": "Mars/Olympus"}, {}, None),
        ({"specs": ("0 0 30 2 *",)}, {}, None),
        ({"specs": ("nonsense",)}, {}, None),
    ],
)
def test_the_next_launch_of_a_job(block: dict[str, Any], job: dict[str, Any], expected: int | None) -> None:
    assert next_launch(Job(id="tick", periodic=Periodic(**block), **job), 0, zone) == expected


def test_a_job_without_a_block_is_never_due() -> None:
    assert next_launch(Job(id="tick"), 0, zone) is None
