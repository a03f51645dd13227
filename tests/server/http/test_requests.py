"""Query values, bodies, limits: the status and the text, and nothing changes."""

from __future__ import annotations

import gzip
import http.client
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.process.servers import ServerProcess, small_job, wait_for

SYNTAX = "invalid syntax"
PARSE = "Failed to parse value of"
UINT = f'strconv.ParseUint: parsing "x": {SYNTAX}'
INVALID = "index error: Invalid UUID"
LENGTH = "index error: UUID must be 36 characters"
DEEP = b'{"a":' * 900 + b"1" + b"}" * 900


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/jobs?index=x", 400, "Invalid index"),
        ("/v1/jobs?index=-1", 400, "Invalid index"),
        ("/v1/jobs?wait=5", 400, "Invalid wait time"),
        ("/v1/jobs?per_page=x", 400, "Expect a number for `per_page` query string parameter"),
        ("/v1/jobs?stale=x", 400, "Expect `true` or `false` for `stale` query string parameter"),
        ("/v1/jobs?meta=abc", 500, f'{PARSE} "meta" (abc) as a bool: strconv.ParseBool: parsing "abc": {SYNTAX}'),
        ("/v1/jobs?region=nope", 500, "No path to region"),
        ("/v1/job/x/versions?diff_version=x", 500, f'{PARSE} "diff_version" (x) as a uint64: {UINT}'),
        ("/v1/job/x/submission", 400, "Unable to parse job submission version parameter"),
        ("/v1/evaluations?prefix=zz", 500, f"eval lookup failed: {INVALID}: encoding/hex: invalid byte: U+007A 'z'"),
        ("/v1/evaluation/abc", 500, f"failed to lookup eval: eval lookup failed: {LENGTH}"),
        ("/v1/allocation/abc", 500, f"alloc lookup failed: {LENGTH}"),
        ("/v1/job/nope", 404, "job not found"),
        ("/v1/job/nope/actions", 500, 'Unknown job "nope"'),
        ("/v1/namespace/nope", 404, "Namespace not found"),
    ],
)  # fmt: skip
def test_bad_values_have_their_text(server: ServerProcess, path: str, status: int, text: str) -> None:
    assert server.request("GET", path) == (status, text)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b'{"Job": 1}', 400),
        (b'{"Job": {"ID": "x", "Priority": 1.5}}', 400),
        (b'{"Job": {"ID": "x", "Priority": 99999999999999999999999}}', 400),
        (b'{"Job": {"ID": "x", "TaskGroups": [{"Tasks": [{"Config": {"a": 1e999}}]}]}}', 400),
        (b'{"Job": {"ID": "x", "TaskGroups": [{"Tasks": [{"Config": ' + DEEP + b"}]}]}}", 400),
        (b'{"Job": {"Meta": ' + b"[" * 100_000, 400),
        (b'{"Job": {"ID": "x"}}', 500),
        (b'{"Job": {"ID": "a b", "TaskGroups": []}}', 500),
        (b'{"EnforceIndex": true}', 400),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_bad_body_changes_nothing(server: ServerProcess, body: bytes, status: int) -> None:
    before = server.request("GET", "/v1/jobs")
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.request("PUT", "/v1/jobs", body)
    answer = connection.getresponse()
    assert answer.status == status and answer.read()
    connection.close()
    assert server.request("GET", "/v1/jobs") == before


@pytest.mark.parametrize(
    ("method", "path", "size"),
    [("PUT", "/v1/namespace", 1 << 30), ("POST", "/v1/jobs/statuses", (1 << 20) + 1), ("PUT", "/v1/jobs", 1 << 30)],
)
def test_a_body_that_is_too_large_is_413_before_it_is_read(
    server: ServerProcess, method: str, path: str, size: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.putrequest(method, path)
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert server.answers()


def test_answers_are_compressed_and_indented_when_asked(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.request("GET", "/v1/namespaces?pretty", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = gzip.decompress(answer.read())
    assert answer.getheader("content-encoding") == "gzip" and answer.getheader("vary") == "Accept-Encoding"
    assert body.startswith(b"[\n    {\n        ") and body.endswith(b"\n]\n")
    assert json.loads(body)[0]["Name"] == "default"
    connection.close()


@pytest.mark.parametrize(
    ("accepted", "used"),
    [("deflate", "deflate"), ("gzip, deflate", "gzip"), ("deflate, gzip", "gzip"), ("br", None), ("identity", None)],
)
@pytest.mark.parametrize("path", ["/v1/namespaces", "/v1/job/nobody"])
def test_what_a_client_accepts_is_used(server: ServerProcess, accepted: str, used: str | None, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.request("GET", path, headers={"Accept-Encoding": accepted})
    answer = connection.getresponse()
    body = answer.read()
    assert int(answer.getheader("content-length") or 0) == len(body)
    assert answer.getheader("content-encoding") == used
    plain = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[used](body)
    assert plain.startswith(b"[{" if answer.status == 200 else b"job not found")
    connection.close()


def test_metrics_in_both_forms(server: ServerProcess) -> None:
    shown = server.request("GET", "/v1/metrics")[1]
    assert {gauge["Name"] for gauge in shown["Gauges"]} >= {"nomad.raft.appliedIndex", "nomad.nomad.broker.total_ready"}
    text = server.request("GET", "/v1/metrics?format=prometheus")[1]
    assert "nomad_raft_appliedIndex" in text and "process_cpu_seconds_total" in text


# --- where Yurt differs on purpose (docs/deviations.md)

Fresh = Callable[[], str]


def register(server: ServerProcess, job_id: str, **fields: Any) -> Any:
    status, body = server.request("PUT", "/v1/jobs", small_job(job_id, **fields))
    assert status == 200, body
    return body


def test_a_revert_by_tag_goes_to_the_version_with_the_tag(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    register(server, job)
    assert server.request("PUT", f"/v1/job/{job}/versions/first/tag", {})[0] == 200
    register(server, job, Priority=60)
    register(server, job, Priority=70)
    revert = {"JobID": job, "TaggedVersion": "first"}
    assert server.request("PUT", f"/v1/job/{job}/revert", revert)[0] == 200
    assert server.request("GET", f"/v1/job/{job}")[1]["Priority"] == 50
    unknown = server.request("PUT", f"/v1/job/{job}/revert", {"JobID": job, "TaggedVersion": "t"})
    assert unknown == (500, f'tag "t" not found on job "{job}"')
    both = server.request("PUT", f"/v1/job/{job}/revert", {**revert, "JobVersion": 1})
    assert both == (400, "JobVersion and TaggedVersion cannot be used together")


def test_a_tag_without_a_version_is_for_the_newest(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    register(server, job)
    register(server, job, Priority=60)
    server.request("PUT", f"/v1/job/{job}/versions/new/tag", {})
    server.request("PUT", f"/v1/job/{job}/versions/old/tag", {"Version": 0})
    versions = server.request("GET", f"/v1/job/{job}/versions")[1]["Versions"]
    assert [one["VersionTag"]["Name"] for one in versions] == ["new", "old"]


def test_the_two_requests_that_kill_the_reference_are_answered(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    tag = server.request("PUT", f"/v1/job/{job}/versions/t/tag", {"Latest": True})
    assert tag == (500, f'job "{job}" version 0 not found')
    register(server, job, Type="system")
    scale = server.request("PUT", f"/v1/job/{job}/scale", {"Target": {"Group": "group"}})
    assert scale == (400, 'jobs of type "system" can only be scaled between 0 and 1')
    assert server.answers()


def test_marking_an_old_version_stable_leaves_the_current_one(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    register(server, job)
    register(server, job, Priority=60)
    server.request("PUT", f"/v1/job/{job}/stable", {"JobID": job, "JobVersion": 0, "Stable": True})
    assert server.request("GET", f"/v1/job/{job}")[1]["Version"] == 1
    versions = server.request("GET", f"/v1/job/{job}/versions")[1]["Versions"]
    assert [one["Stable"] for one in versions] == [False, True]


def test_scaling_is_one_write(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    register(server, job, Type="batch")
    answer = server.request("PUT", f"/v1/job/{job}/scale", {"Target": {"Group": "group"}, "Count": 0})[1]
    assert answer["EvalCreateIndex"] == answer["Index"] == answer["JobModifyIndex"]


def test_consistent_reads_are_answered(server: ServerProcess) -> None:
    assert server.request("GET", "/v1/jobs?consistent")[0] == 200


def test_a_job_that_finds_no_place_waits(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    body = small_job(job, Datacenters=["nowhere"])
    body["Job"]["TaskGroups"][0]["Count"] = 2
    eval_id = server.request("PUT", "/v1/jobs", body)[1]["EvalID"]
    done = wait_for(
        lambda: (e := server.request("GET", f"/v1/evaluation/{eval_id}")[1])["Status"] == "complete" and e, 5, ""
    )
    assert done["QueuedAllocations"] == {"group": 2} and done["FailedTGAllocs"]["group"]["CoalescedFailures"] == 1
    blocked = server.request("GET", f"/v1/evaluation/{done['BlockedEval']}")[1]
    assert (blocked["Status"], blocked["PreviousEval"]) == ("blocked", eval_id)
    deployment = server.request("GET", f"/v1/job/{job}/deployment")[1]
    assert deployment["Status"] == "running" and deployment["TaskGroups"]["group"]["DesiredTotal"] == 2
    assert server.request("GET", f"/v1/job/{job}")[1]["Status"] == "running"
    scale = server.request("PUT", f"/v1/job/{job}/scale", {"Target": {"Group": "group"}, "Count": 1})
    assert scale == (400, "job scaling blocked due to active deployment")
    server.request("DELETE", f"/v1/job/{job}")
    wait_for(lambda: server.request("GET", f"/v1/job/{job}/deployment")[1]["Status"] == "cancelled", 5, "cancelled")
    assert server.request("GET", f"/v1/job/{job}")[1]["Status"] == "dead"


def test_a_plan_changes_nothing(server: ServerProcess, fresh_id: Fresh) -> None:
    job = fresh_id()
    register(server, job)
    wait_for(lambda: server.request("GET", f"/v1/job/{job}")[1]["Status"] == "dead", 5, "evaluated")
    before = [server.request("GET", f"/v1/{what}") for what in ("jobs", "evaluations", "deployments")]
    body = small_job(job, Priority=80, Datacenters=["nowhere"])
    body["Job"]["TaskGroups"][0]["Count"] = 3
    status, plan = server.request("PUT", f"/v1/job/{job}/plan", body)
    assert status == 200 and plan["Annotations"]["DesiredTGUpdates"]["group"]["Place"] == 3
    assert plan["FailedTGAllocs"]["group"]["NodesEvaluated"] == 0 and len(plan["CreatedEvals"]) == 1
    assert [server.request("GET", f"/v1/{what}") for what in ("jobs", "evaluations", "deployments")] == before


def test_a_revert_is_validated_like_a_registration(server: ServerProcess, fresh_id: Fresh) -> None:
    job, space = fresh_id(), fresh_id()
    assert server.request("PUT", "/v1/namespace", {"Name": space})[0] == 200
    register(server, job, Namespace=space)
    register(server, job, Namespace=space, Priority=60)
    drivers = {task["Driver"] for group in small_job(job)["Job"]["TaskGroups"] for task in group["Tasks"]}
    closed = {"Name": space, "Capabilities": {"DisabledTaskDrivers": sorted(drivers)}}
    assert server.request("PUT", "/v1/namespace", closed)[0] == 200
    status, text = server.request("PUT", f"/v1/job/{job}/revert?namespace={space}", {"JobID": job, "JobVersion": 0})
    assert (status, text) == (
        500, f'1 error occurred:\n\t* used task driver "{drivers.pop()}" is not allowed in namespace "{space}"\n\n',
    )  # fmt: skip
    assert server.request("GET", f"/v1/job/{job}?namespace={space}")[1]["Priority"] == 60


def test_a_large_job_is_admitted_and_refused_like_a_small_one(server: ServerProcess, fresh_id: Fresh) -> None:
    job = small_job(fresh_id())
    job["Job"]["Meta"] = {f"key{number}": "x" * 100 for number in range(1000)}
    assert server.request("PUT", "/v1/jobs", job)[0] == 200
    job["Job"]["Priority"] = 101
    expected = "1 error occurred:\n\t* job priority must be between [1, 100]\n\n"
    assert server.request("PUT", "/v1/jobs", job) == (500, expected)
    assert server.request("PUT", "/v1/validate/job", job)[1]["ValidationErrors"] == [expected[21:-2]]
