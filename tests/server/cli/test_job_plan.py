"""`yurt job plan` and `yurt job history` against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.process.servers import ServerProcess, small_job
from tests.server.cli.conftest import Ended
from yurt.server.cli import job_plan

Yurt = Callable[..., Ended]
Write = Callable[[Any], str]
FreshId = Callable[[], str]


def counted(job_id: str, count: int, **fields: Any) -> dict[str, Any]:
    body = small_job(job_id, **fields)
    body["Job"]["TaskGroups"][0]["Count"] = count
    return body


def test_a_new_job_without_allocations(yurt: Yurt, written: Write, fresh_id: FreshId) -> None:
    job_id = fresh_id()
    path = written(small_job(job_id))
    ended = yurt("job", "plan", path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(
        f'+ Job: "{job_id}"\n+ Task Group: "group"\n  + Task: "task" (forces create)\n\n'
        "Scheduler dry-run:\n- All tasks successfully allocated.\n\n"
        "Job Modify Index: 0\nTo submit the job with version verification run:\n\n"
        f"yurt job run -check-index 0 {path}\n\n"
    )
    assert yurt("job", "run", "-check-index", "0", "-detach", path).code == 0, "nothing was registered by planning"


def test_allocations_that_find_no_place(yurt: Yurt, written: Write, fresh_id: FreshId) -> None:
    ended = yurt("plan", written(counted(fresh_id(), 2, Datacenters=["nowhere"])))
    assert ended.code == 1
    assert '+ Task Group: "group" (2 create)\n' in ended.out
    assert "- WARNING: Failed to place all allocations.\n" in ended.out
    assert '  Task Group "group" (failed to place 2 allocations):\n    * No nodes were eligible' in ended.out


def test_a_change_and_its_index(yurt: Yurt, written: Write, fresh_id: FreshId, server: ServerProcess) -> None:
    job_id = fresh_id()
    index = server.request("PUT", "/v1/jobs", small_job(job_id))[1]["JobModifyIndex"]
    path = written(small_job(job_id, Priority=60)["Job"])
    ended = yurt("job", "plan", path)
    assert ended.code == 0
    assert ended.out.startswith(f'+/- Job: "{job_id}"\n+/- Priority: "50" => "60"\n    Task Group: "group"\n')
    assert f"yurt job run -check-index {index} {path}\n" in ended.out
    assert yurt("job", "run", "-detach", "-check-index", f"{index}", path).code == 0


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ((), True),
        (("-diff",), True),
        (("-diff=true",), True),
        (("--diff=false",), False),
        (("-diff=false", "-json", "-no-color"), False),
        (("-no-diff",), False),
    ],
)
def test_flags(yurt: Yurt, fresh_id: FreshId, flags: tuple[str, ...], shown: bool) -> None:
    ended = yurt("job", "plan", *flags, "-", stdin=json.dumps(small_job(fresh_id())))
    assert ended.code == 0
    assert ("+ Job:" in ended.out) is shown
    assert "-check-index 0 -\n" in ended.out
    assert "\x1b" not in ended.out


def test_verbose(yurt: Yurt, written: Write, fresh_id: FreshId) -> None:
    assert '+ KillTimeout:   "5000000000"' in yurt("job", "plan", "-verbose", written(small_job(fresh_id()))).out


def test_warnings(yurt: Yurt, written: Write, fresh_id: FreshId) -> None:
    body = small_job(fresh_id())
    body["Job"]["TaskGroups"][0]["Networks"] = [{"MBits": 5}]
    assert "\nJob Warnings:\n1 warning:\n\n* Group " in yurt("job", "plan", written(body)).out


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Job": {}}, "Error: the job has no ID\n"),
        ({"Job": {"ID": 5}}, "Error: the job has no ID\n"),
        ("{", "Error getting job struct: "),
        ("[]", "Error getting job struct: "),
        ({"Job": {"ID": "x"}}, "Error during plan: Unexpected response code: 500 (1 error occurred:"),
    ],
)
def test_errors_end_with_255(yurt: Yurt, written: Write, given: Any, text: str) -> None:
    ended = yurt("job", "plan", written(given))
    assert (ended.code, ended.out) == (255, "")
    assert ended.err.startswith(text)


def test_no_file_and_no_server_end_with_255(yurt: Yurt, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    assert yurt("job", "plan", "/no/such/file").code == 255
    path = written(small_job("x"))
    ended = yurt("job", "plan", "-address", "http://127.0.0.1:9", path)
    assert ended.code == 255 and ended.err.startswith('Error during plan: PUT "http://127.0.0.1:9/v1/job/x/plan')


@pytest.mark.parametrize(
    ("counts", "changes"),
    [
        ({"Place": 1}, True), ({"Stop": 1}, True), ({"Migrate": 1}, True), ({"DestructiveUpdate": 1}, True),
        ({"Canary": 1}, True), ({"InPlaceUpdate": 3, "Ignore": 5}, False), ({}, False),
    ],
)  # fmt: skip
def test_what_counts_as_a_change(counts: dict[str, int], changes: bool) -> None:
    assert job_plan._changes_allocations({"Annotations": {"DesiredTGUpdates": {"a": {}, "b": counts}}}) is changes
    assert job_plan._changes_allocations({"Annotations": None}) is False


def test_launches_and_preemptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_plan.time, "time", lambda: 0.0)
    stubs = [{"ID": f"{number:08d}-rest", "JobID": "j", "TaskGroup": "g"} for number in range(12)]
    answer = {
        "FailedTGAllocs": None,
        "NextPeriodicLaunch": "1970-01-01T00:01:30Z",
        "Annotations": {"PreemptedAllocs": stubs},
    }
    lines = "\n".join(job_plan._dry_run(answer, False)).splitlines()
    assert lines[1] == "- If submitted now, next periodic launch would be at 1970-01-01T00:01:30Z (1m30s from now)."
    assert lines[5:7] == ["Alloc ID  Job ID  Task Group", "00000000  j       g"]
    assert lines[-1] == "and 2 more"


@pytest.fixture
def versions(server: ServerProcess, fresh_id: FreshId) -> str:
    job_id = fresh_id()
    for priority in (50, 60, 70):
        server.request("PUT", "/v1/jobs", small_job(job_id, Priority=priority))
    server.request("POST", f"/v1/job/{job_id}/versions/gold/tag", {"Version": 1, "Description": "good"})
    return job_id


def changed(out: str) -> list[str]:
    return [line for line in out.splitlines() if "Priority" in line or line.startswith("Version")]


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        ((), ["Version     = 2", "Version         = 1", "Version     = 0"]),
        (("-p",), ["Version     = 2", '+/- Priority: "60" => "70"', "Version         = 1", '+/- Priority: "50" => "60"',
                   "Version     = 0"]),
        (("-p", "-version", "1"), ["Version         = 1", '+/- Priority: "50" => "60"']),
        (("-p", "-version", "0"), ["Version     = 0"]),
        (("-diff-version", "0", "-version", "2"), ["Version     = 2", '+/- Priority: "50" => "70"']),
        (("-diff-tag", "gold", "-version", "0"), ["Version     = 0", '+/- Priority: "60" => "50"']),
    ],
)  # fmt: skip
def test_history(yurt: Yurt, versions: str, flags: tuple[str, ...], lines: list[str]) -> None:
    ended = yurt("job", "history", *flags, versions)
    assert (ended.code, ended.err) == (0, "")
    assert changed(ended.out) == lines


def test_history_shows_tags_and_diffs(yurt: Yurt, versions: str) -> None:
    blocks = yurt("job", "history", "-p", versions).out.split("\n\n")
    assert len(blocks) == 3
    assert "Tag Name        = gold\nTag Description = good\nDiff            =\n+/- Job: " in blocks[1]
    assert "Diff" not in blocks[2]


def test_history_as_json(yurt: Yurt, versions: str) -> None:
    assert [job["Version"] for job in json.loads(yurt("job", "history", "-json", versions).out)] == [2, 1, 0]
    both = json.loads(yurt("job", "history", "-json", "-p", "-version", "1", versions).out)
    assert [job["Version"] for job in both["Versions"]] == [1]
    assert [diff["Fields"][0]["New"] for diff in both["Diffs"]] == ["60"]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("-version", "9"), "version 9 not found"),
        (("-diff-version", "9"), "Error: Unexpected response code: 500 (version 9 not found)"),
        (("-diff-tag", "zz"), 'Error: Unexpected response code: 500 (tag "zz" not found)'),
        (("-diff-tag", "gold", "-diff-version", "1"), "Error: -diff-version and -diff-tag cannot be used together"),
    ],
)
def test_no_such_version(yurt: Yurt, versions: str, flags: tuple[str, ...], text: str) -> None:
    ended = yurt("job", "history", *flags, versions)
    assert (ended.code, ended.err.strip()) == (1, text)
