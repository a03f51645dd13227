"""POST /v1/jobs/parse on a real server: answers, refusals, and that hostile files hold nobody up."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.process.servers import ServerProcess

SMALL = 'job "j" {\n  group "g" {\n    task "t" {\n      driver = "raw_exec"\n    }\n  }\n}\n'


def parse(server: ServerProcess, source: Any, **members: Any) -> tuple[int, Any]:
    status, body = server.request("POST", "/v1/jobs/parse", {"JobHCL": source, **members})
    return status, body


def test_a_job_file_becomes_a_job(server: ServerProcess) -> None:
    status, job = parse(server, SMALL)
    assert (status, job["ID"], job["Type"], job["TaskGroups"][0]["Count"]) == (200, "j", None, None)
    job = parse(server, SMALL, Canonicalize=True)[1]
    assert (job["Type"], job["TaskGroups"][0]["Count"]) == ("service", 1)
    assert server.request("PUT", "/v1/jobs/parse", {"jobhcl": SMALL, "hclv1": True})[0] == 200
    text = 'variable "n" {}\njob "j" { name = var.n }'
    assert parse(server, text, Variables='n = "é"')[1]["Name"] == "é"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, (400, "Job spec is empty")),
        ({"JobHCL": ""}, (400, "Job spec is empty")),
        ({"JobHCL": "job {}"}, (400, "Failed to parse job: input.hcl:1,5-6: Missing name for job; All job blocks must have 1 labels (name).")),
        ({"JobHCL": 'job "j" { name = file("/etc/passwd") }'}, (400, 'Failed to parse job: input.hcl:1,18-23: Error in function call; Call to function "file" failed: filesystem function disabled.\ninput.hcl:1,18-23: Unsuitable value type; Unsuitable value: value must be known')),
        ({"JobHCL": SMALL, "Variables": "a ="}, (400, "Failed to parse job: unable to parse var content: input.hcl:1,4-4: Missing expression; Expected the start of an expression, but found the end of the file.")),
        ({"JobHCL": "#" * (1 << 20) + "\n"}, (400, "Failed to parse job: <nil>: Limit exceeded; The text is larger than 1048576 bytes.")),
        ({"JobHCL": 7}, (400, "json: cannot unmarshal number into Go struct field JobsParseRequest.JobHCL of type string")),
    ],
)  # fmt: skip
def test_refusals(server: ServerProcess, body: dict[str, Any], wanted: tuple[int, str]) -> None:
    assert server.request("POST", "/v1/jobs/parse", body) == wanted


def test_reading_is_refused(server: ServerProcess) -> None:
    assert server.request("GET", "/v1/jobs/parse") == (405, "Invalid method")


def test_other_requests_do_not_wait_for_a_hostile_file(server: ServerProcess) -> None:
    parse(server, SMALL)
    source = 'job "j" { name = [for a in range(9000) : [for b in range(9000) : a]] }'
    answers: list[tuple[int, Any]] = []
    hostile = threading.Thread(target=lambda: answers.append(parse(server, source)))
    hostile.start()
    slowest, asked = 0.0, 0
    while hostile.is_alive():
        started = time.perf_counter()
        assert server.request("GET", "/v1/agent/health?type=server")[0] == 200
        slowest, asked = max(slowest, time.perf_counter() - started), asked + 1
    assert asked > 3 and slowest < 0.25, f"{slowest:.3f} s"
    assert answers[0][0] == 400 and "too much work" in answers[0][1]
    assert parse(server, SMALL)[0] == 200
