"""Parents and children on the command line: periodic and parameterized jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, small_job, wait_for
from tests.server.cli.conftest import Ended
from yurt.server.cli.job_children import next_launch

Yurt = Callable[..., Ended]
FreshId = Callable[[], str]

YEARLY = {"Specs": ["0 0 1 1 *"], "TimeZone": "America/New_York"}


def registered(server: ServerProcess, job_id: str, **fields: Any) -> str:
    status, body = server.request("PUT", "/v1/jobs", small_job(job_id, Type="batch", **fields))
    assert status == 200, body
    return job_id


def test_a_periodic_job_is_forced_and_shown(yurt: Yurt, fresh_id: FreshId, server: ServerProcess) -> None:
    job_id = registered(server, fresh_id(), Periodic=YEARLY)
    shown = yurt("job", "status", job_id)
    assert shown.code == 0
    year = datetime.now(UTC).year + 1
    assert re.search(rf"Next Periodic Launch = {year}-01-01T05:00:00Z \(\d+d.* from now\)", shown.out)
    assert "No instances of periodic job found" in shown.out and "Allocations" not in shown.out
    forced = yurt("job", "periodic", "force", job_id)
    assert (forced.code, forced.err) == (0, "")
    assert forced.out.startswith("Force periodic successful\n==> ")
    detached = yurt("job", "periodic", "force", "-detach", job_id)
    assert re.fullmatch(r"Force periodic successful\nEvaluation ID: [0-9a-f-]{36}\n", detached.out)
    evaluation = detached.out.split()[-1]
    wait_for(
        lambda: server.request("GET", f"/v1/evaluation/{evaluation}")[1]["Status"] == "complete", 10, "its evaluation"
    )
    shown = yurt("job", "status", job_id)
    assert re.search(rf"Previously Launched Jobs\nID +Status\n{job_id}/periodic-\d+ +dead", shown.out)


def test_only_periodic_jobs_are_forced(yurt: Yurt, fresh_id: FreshId, server: ServerProcess) -> None:
    ended = yurt("job", "periodic", "force", registered(server, fresh_id()))
    assert ended.code == 1 and "can't force launch non-periodic job" in ended.err
    ended = yurt("job", "periodic", "force", "nobody")
    assert ended.code == 1 and 'No job(s) with prefix or ID "nobody" found' in ended.err


BLOCK = {"Enabled": True, "Specs": ["@daily"], "Spec": "", "TimeZone": "UTC", "SpecType": "cron"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "1970-01-02T00:00:00Z (1d from now)"),
        ({"Specs": None, "Spec": "0 6 * * *"}, "1970-01-01T06:00:00Z (6h from now)"),
        ({"Enabled": False}, "none (job stopped, parameterized or not enabled)"),
        ({"TimeZone": "Mars/Olympus"}, "none (unknown time zone)"),
        ({"Specs": ["0 0 30 2 *"]}, "none"),
        ({"Specs": ["never"]}, "none (missing field(s))"),
    ],
)
def test_the_next_launch_in_words(change: dict[str, Any], text: str) -> None:
    assert next_launch({"Periodic": BLOCK | change, "Stop": False, "ParameterizedJob": None}, 0.0) == text


def test_dispatching(yurt: Yurt, fresh_id: FreshId, server: ServerProcess, tmp_path: Path) -> None:
    rules = {"Payload": "required", "MetaRequired": ["who"], "MetaOptional": ["why"]}
    job_id = registered(server, fresh_id(), ParameterizedJob=rules)
    shown = yurt("job", "status", job_id)
    assert "Required Metadata = who\n" in shown.out and "No dispatched instances" in shown.out
    given = (
        "job",
        "dispatch",
        "-detach",
        "-meta",
        "who=me",
        "-id-prefix-template",
        "pre",
        "-idempotency-token",
        "once",
    )
    first = yurt(*given, job_id, "-", stdin="hello")
    child = re.fullmatch(r"Dispatched Job ID = (\S+)\nEvaluation ID     = [0-9a-f]{8}\n", first.out)
    assert child is not None and first.code == 0 and child[1].startswith(f"{job_id}/dispatch-pre-")
    again = yurt(*given, job_id, "-", stdin="hello")
    assert (again.code, again.out) == (0, f"Dispatched Job ID = {child[1]}\n"), "the token makes it once"
    stored = server.request("GET", f"/v1/job/{child[1].replace('/', '%2F')}")[1]
    assert (stored["Payload"], stored["Meta"]) == ("aGVsbG8=", {"who": "me"})
    payload = tmp_path / "payload"
    payload.write_bytes(b"\0\xff")
    assert yurt("job", "dispatch", "-detach", "-meta", "who=you", "-payload", str(payload), job_id).code == 0
    assert yurt("job", "status", job_id).out.count(f"{job_id}/dispatch-") == 2
    for wrong, text in (
        (("-detach", job_id, "-"), "did not provide required meta keys: [who]"),
        (("-meta", "who", job_id, "-"), "-meta wants KEY=VALUE"),
        (("-payload", str(payload), job_id, str(payload)), "the payload is given twice"),
        (("-meta", "who=me", job_id, str(tmp_path / "nothing")), "No such file"),
    ):
        ended = yurt("job", "dispatch", *wrong, stdin="x")
        assert ended.code == 1 and text in ended.err, wrong


def test_tags(yurt: Yurt, fresh_id: FreshId, server: ServerProcess) -> None:
    job_id = registered(server, fresh_id())
    registered(server, job_id, Priority=60)
    ended = yurt("job", "tag", "apply", "-name", "best one", "-description", "it works", job_id)
    assert (ended.code, ended.out) == (0, 'Job version 1 tagged with name "best one"\n')
    assert yurt("job", "tag", "apply", "-name", "first", "-version", "0", job_id).code == 0
    tags = [one["VersionTag"]["Name"] for one in json.loads(yurt("job", "history", "-json", job_id).out)]
    assert tags == ["best one", "first"]
    ended = yurt("job", "tag", "unset", "-name", "first", job_id)
    assert (ended.code, ended.out) == (0, f'Tag "first" removed from job "{job_id}"\n')
    for wrong, text in (
        (("unset", "-name", "first", job_id), f'tag "first" not found on job "{job_id}"'),
        (("apply", "-name", "new", "-version", "9", job_id), f'job "{job_id}" version 9 not found'),
        (("apply", job_id), "a tag needs a name"),
    ):
        ended = yurt("job", "tag", *wrong)
        assert ended.code == 1 and text in ended.err, wrong


def test_scaling_events(yurt: Yurt, fresh_id: FreshId, server: ServerProcess) -> None:
    job_id = registered(server, fresh_id())
    assert yurt("job", "scaling-events", job_id).out == "No events found\n"
    assert yurt("job", "scale", "-detach", job_id, "0").code == 0
    plain = yurt("job", "scaling-events", job_id)
    assert re.fullmatch(r"Task Group  Count  PrevCount  Date\ngroup +0 +0 +20\S+\n", plain.out)
    full = yurt("job", "scaling-events", "-verbose", job_id)
    assert re.search(r"group +0 +0 +false +submitted with yurt +[0-9a-f-]{36} +20", full.out)
    events = json.loads(yurt("job", "scaling-events", "-json", job_id).out)
    assert events["group"][0]["Message"] == "submitted with yurt"
