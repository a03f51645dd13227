"""The audit log of real servers: who did what, no secret, one line a request, and what happens when it is full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.process.servers import ServerProcess, cluster, leader_of, single, small_job, wait_for
from yurt.server.config.load import ConfigError, load


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def audit(path: Path | str, guarantee: str = "best-effort") -> dict[str, Any]:
    return {"enabled": True, "sink": {"file": {"path": str(path), "delivery_guarantee": guarantee}}}


def test_who_did_what_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    with single(tmp_path, acl={"enabled": True}, audit=audit(path), log_level="TRACE") as server:
        status, root = server.request("PUT", "/v1/acl/bootstrap")
        assert status == 200
        secret = root["SecretID"]

        def ask(method: str, target: str, body: Any = None) -> int:
            return server.request(method, target, body, headers={"X-Nomad-Token": secret})[0]

        assert ask("PUT", "/v1/jobs", small_job("web")) == 200
        assert ask("PUT", "/v1/var/a/b?namespace=default", {"Items": {"password": "hunter2"}}) == 200
        assert server.request("GET", "/v1/jobs")[0] == 403
        assert ask("GET", "/v1/job/nobody?token=also-secret") == 404
        wait_for(lambda: any(one["request"]["path"] == "/v1/job/nobody" for one in lines(path)), 10, "the lines")
        text = path.read_text()
        assert secret not in text and "hunter2" not in text and "also-secret" not in text
        logged = (tmp_path / "agent.log").read_text()
        assert secret not in logged and "hunter2" not in logged, "nor in the server's log, at its chattiest"
        by_path = {one["request"]["path"]: one for one in lines(path)}
        assert by_path["/v1/var/a/b"]["who"]["accessor_id"] == root["AccessorID"]
        assert by_path["/v1/var/a/b"]["who"]["name"] == "Bootstrap Token"
        assert by_path["/v1/var/a/b"]["request"]["endpoint"] == "/v1/var/:path"
        written = next(
            one for one in lines(path) if one["request"]["method"] == "PUT" and one["request"]["path"] == "/v1/jobs"
        )
        assert written["who"]["address"] == "127.0.0.1" and written["result"]["status"] == 200
        assert written["result"]["index"] > 0
        assert [one["result"]["status"] for one in lines(path) if one["request"]["method"] == "GET"][-2:] == [403, 404]


@pytest.mark.slow
def test_a_request_that_is_handed_over_has_one_line(tmp_path: Path) -> None:
    with cluster(tmp_path, audit={"enabled": True}) as servers:
        leader = leader_of(servers)
        follower = next(one for one in servers if one is not leader)
        assert follower.request("PUT", "/v1/jobs", small_job("web"))[0] == 200

        def found() -> list[tuple[ServerProcess, dict[str, Any]]]:
            return [
                (server, one)
                for server in servers
                for one in lines(server.directory / "data/audit/audit.log")
                if one["request"]["path"] == "/v1/jobs"
            ]

        wait_for(found, 10, "the line")
        ((server, line),) = found()
        assert server is leader and line["request"]["handed_over"] and line["who"]["address"] == "127.0.0.1"


@pytest.mark.parametrize(("guarantee", "expected"), [("enforced", 500), ("best-effort", 200)])
def test_a_log_that_cannot_be_written(tmp_path: Path, guarantee: str, expected: int) -> None:
    with single(tmp_path, audit=audit("/dev/full", guarantee)) as server:
        server.request("GET", "/v1/jobs")
        wait_for(lambda: "the audit log cannot be written" in server.log(), 10, "the complaint")
        status, answer = server.request("PUT", "/v1/jobs", small_job("web"))
        assert status == expected
        if guarantee == "enforced":
            assert "nothing was done" in str(answer)
        status, jobs = server.request("GET", "/v1/jobs")
        assert status == 200 and len(jobs) == (expected == 200), "reads go on"


def why_closed(server: ServerProcess, **headers: str) -> str:
    """What a WebSocket for a command in an allocation that is not there is closed with."""
    path = "/v1/client/allocation/00000000-0000-4000-8000-000000000000/exec?task=t&command=%5B%22true%22%5D"
    with connect(f"ws://127.0.0.1:{server.http_port}{path}", additional_headers=headers, proxy=None) as socket:
        try:
            while True:
                socket.recv(timeout=10)
        except ConnectionClosed as closed:
            return closed.rcvd.reason if closed.rcvd is not None else ""


def test_websockets_keep_to_it_too(tmp_path: Path) -> None:
    with single(tmp_path / "full", audit=audit("/dev/full", "enforced")) as server:
        server.request("GET", "/v1/jobs")
        wait_for(lambda: "the audit log cannot be written" in server.log(), 10, "the complaint")
        assert why_closed(server).startswith("the audit log cannot be written")
    file = tmp_path / "audit.log"
    with single(tmp_path / "refused", audit=audit(str(file), "enforced"), acl={"enabled": True}) as server:
        headers = {"X-Nomad-Token": "4b1b8d2e-0000-4000-8000-000000000000"}
        assert why_closed(server, **headers) in ("Permission denied", "ACL token not found")
        wait_for(lambda: any("/exec" in one["request"]["path"] for one in lines(file)), 10, "its line")
        found = [one for one in lines(file) if "/exec" in one["request"]["path"]]
        assert {one["result"]["status"] for one in found} == {403}


@pytest.mark.parametrize(
    ("sink", "text"),
    [
        ({"a": {"type": "socket"}}, 'must have type "file"'),
        ({"a": {"delivery_guarantee": "perhaps"}}, "delivery_guarantee"),
        ({"a": {}, "b": {}}, "one sink"),
        ({"a": {"paths": "x"}}, "unknown key"),
    ],
)
def test_what_cannot_be_configured(sink: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load([], {"dev": True, "server": {"enabled": True}, "audit": {"enabled": True, "sink": sink}})
