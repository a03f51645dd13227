"""Errors as problem details: every word by the texts it is for, and a real server's answers in both forms."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, single, small_job
from yurt.server.http.asgi.problems import PROBLEMS, WORDS, problem_of

DOCUMENT = Path(__file__).parents[4] / "docs" / "extras.md"


@pytest.mark.parametrize(
    ("status", "text", "word", "true"),
    [
        (500, "No cluster leader", "no-leader", 503),
        (500, "leadership lost while committing log; the outcome is unknown: read the state before", "outcome-unknown", 504),
        (500, "the disk has no space left for the log; nothing was written", "storage-full", 507),
        (500, "the cluster is being upgraded: this needs command version 4", "upgrading", 503),
        (500, "no root key is ready on this server: nothing was changed", "not-ready", 503),
        (403, "Permission denied", "permission-denied", 403),
        (403, "ACL token not found", "token-unknown", 403),
        (403, "Job registration, dispatch, and scale are disabled by the scheduler configuration", "disabled", 403),
        (500, "No path to region", "unknown-region", 404),
        (501, "Nomad Enterprise only endpoint", "enterprise-only", 501),
        (500, "Enforcing job modify index 7: job exists with conflicting job modify index: 9", "index-conflict", 409),
        (500, "Current job has version 3; enforcing version 2", "index-conflict", 409),
        (409, "attempting to modify locked variable", "locked", 409),
        (400, "job scaling blocked due to active deployment", "state-conflict", 409),
        (500, "can't revert to current version", "state-conflict", 409),
        (500, "can not set node's scheduling eligibility to eligible while it is draining", "state-conflict", 409),
        (500, "cannot update periodic job to being non-periodic", "state-conflict", 409),
        (500, "root key in use, cannot delete", "state-conflict", 409),
        (500, "node n1 does not answer at 10.0.0.1:4646: refused", "unreachable", 502),
        (404, "No path to node", "unreachable", 502),
        (404, "job not found", "not-found", 404),
        (500, "deployment not found", "not-found", 404),
        (404, "", "not-found", 404),
        (404, 'Unknown allocation "a"', "not-found", 404),
        (500, "Payload exceeds maximum size; 20000 > 16384", "too-large", 413),
        (413, "Request body is too large", "too-large", 413),
        (500, "1 error occurred:\n\t* Missing job task groups\n\n", "invalid", 422),
        (400, "policy 0 invalid: 1 error occurred", "invalid", 422),
        (500, "1 error occurred:\n\t* Task group disabled validation failed: region \"x\" does not exist\n", "invalid", 422),
        (400, "unexpected EOF", "bad-request", 400),
        (405, "Invalid method", "method-not-allowed", 405),
        (429, "too many writes are waiting; nothing was written: retry later", "too-many-requests", 429),
        (412, "", "not-healthy", 412),
        (500, "internal error; nothing was changed", "internal", 500),
        (500, "payload provided where none is wanted", "refused", 400),
    ],
)  # fmt: skip
def test_what_an_error_is(status: int, text: str, word: str, true: int) -> None:
    problem = problem_of(status, text)
    assert (problem.word, problem.status) == (word, true)


def test_every_word_is_documented_and_reached() -> None:
    document = DOCUMENT.read_text()
    assert [word for word in WORDS if f"`{word}`" not in document] == []
    assert len({one.word for one in PROBLEMS}) == len(PROBLEMS), "a word is in the table once"


def ask(server: ServerProcess, method: str, path: str, body: Any, accept: str) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read()
    finally:
        connection.close()


def test_only_who_asks_gets_them(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        wanted = "application/json, application/problem+json"
        status, kind, body = ask(server, "GET", "/v1/job/nobody", None, wanted)
        problem = json.loads(body)
        assert (status, kind) == (404, "application/problem+json")
        assert problem == {
            "type": "urn:yurt:problem:not-found", "title": "There is no such thing", "status": 404,
            "detail": "job not found", "instance": "/v1/job/nobody", "code": "not-found",
        }  # fmt: skip
        assert ask(server, "GET", "/v1/job/nobody", None, "*/*")[:2] != (status, kind)
        assert ask(server, "PUT", "/v1/jobs", small_job("a"), wanted)[:2] == (200, "application/json")
        stale = {**small_job("a"), "EnforceIndex": True, "JobModifyIndex": 1}
        status, _, body = ask(server, "PUT", "/v1/jobs", stale, wanted)
        assert (status, json.loads(body)["code"]) == (409, "index-conflict")
        assert ask(server, "PUT", "/v1/jobs", stale, "application/json")[0] == 500, "as the wire protocol has it"
        status, _, body = ask(server, "PUT", "/v1/jobs", {"Job": {"ID": "b"}}, wanted)
        assert (status, json.loads(body)["code"]) == (422, "invalid") and "task groups" in json.loads(body)["detail"]
        status, _, body = ask(server, "PATCH", "/v1/jobs", None, wanted)
        assert (status, json.loads(body)["code"]) == (405, "method-not-allowed")
