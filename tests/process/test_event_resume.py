"""The event stream resumed with `after`: at any index, on any server, over restarts, each event once and in order."""

from __future__ import annotations

import http.client
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, single, small_job, wait_for

CONFIG = {"event_buffer_size": 10_000}


def read(server: ServerProcess, query: str, until: int, lines_max: int = 10_000) -> tuple[list[dict[str, Any]], int]:
    """The first line, then lines until one reaches an index or there are enough; and the index that was reached."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    try:
        connection.request("GET", f"/v1/event/stream?{query}")
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        found: list[dict[str, Any]] = []
        while True:
            line = json.loads(answer.readline())
            found.append(line)
            if line.get("Index", 0) >= until or len(found) > lines_max:
                return found, line.get("Index", 0)
    finally:
        connection.close()


def last_index(server: ServerProcess) -> int:
    _, body = server.request("GET", "/v1/jobs?stale=false")
    return max(job["ModifyIndex"] for job in body)


@pytest.mark.slow
def test_breaks_at_any_line_on_any_server_and_over_restarts(tmp_path: Path) -> None:
    chance = random.Random(7)
    with cluster(tmp_path, server=CONFIG) as servers:
        leader = leader_of(servers)
        for number in range(30):
            assert leader.request("PUT", "/v1/jobs", small_job(f"web-{number}"))[0] == 200
        end = last_index(leader)

        def has_all(server: ServerProcess) -> bool:
            return last_index(server) >= end

        whole, _ = read(servers[0], "after=0", end)
        assert whole[0] == {"OldestIndex": 1}
        lines = whole[1:]
        indexes = [line["Index"] for line in lines]
        assert indexes == sorted(set(indexes)), "one line an index, in order"
        position, pieces = 0, []
        while position < end:
            server = chance.choice(servers)
            if chance.random() < 0.25:
                server.kill()
                server.start().wait_ready()
                wait_for(lambda one=server: has_all(one), 20, "what the others have")  # type: ignore[misc]
            some, position = read(server, f"after={position}", end, chance.randrange(1, 15))
            pieces += some[1:]
        assert pieces == lines


def test_only_who_asks_resumes(tmp_path: Path) -> None:
    with single(tmp_path, server={"enabled": True, "bootstrap_expect": 1, "event_buffer_size": 4}) as server:
        for number in range(5):
            assert server.request("PUT", "/v1/jobs", small_job(f"web-{number}"))[0] == 200
        wait_for(lambda: {one["Status"] for one in server.request("GET", "/v1/jobs")[1]} == {"dead"}, 20, "quiet")
        end = last_index(server)
        status, text = server.request("GET", "/v1/event/stream?after=1")
        assert status == 410 and "ask for after=" in text
        assert server.request("GET", "/v1/event/stream?after=x")[0] == 400
        assert server.request("GET", "/v1/event/stream?after=1&index=1")[0] == 400
        held = int(text.partition("ask for after=")[2].split()[0])
        lines, _ = read(server, f"after={held}", end)
        assert lines[0] == {"OldestIndex": held + 1}
        lines, _ = read(server, "index=0", end)
        assert lines[0] == {}, "the wire protocol's own heartbeat"


def test_the_latest_is_what_comes_next(tmp_path: Path) -> None:
    with single(tmp_path) as server:
        assert server.request("PUT", "/v1/jobs", small_job("before"))[0] == 200
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
        connection.request("GET", "/v1/event/stream?index=latest&topic=Job")
        answer = connection.getresponse()
        assert json.loads(answer.readline()) == {}
        assert server.request("PUT", "/v1/jobs", small_job("after"))[0] == 200
        told: list[str] = []
        while "after" not in told:  # the status of the first may change meanwhile, its registration is not told
            events = json.loads(answer.readline()).get("Events", ())
            told += [one["Key"] for one in events if one["Type"] == "JobRegistered"]
        assert told == ["after"]
        connection.close()


@pytest.mark.slow
def test_after_a_restart_from_a_snapshot_all_is_told_again(tmp_path: Path) -> None:
    block = {
        "enabled": True, "bootstrap_expect": 1, "event_buffer_size": 1000,
        "raft_snapshot_threshold": 20, "raft_snapshot_interval": "200ms", "raft_trailing_logs": 0,
    }  # fmt: skip
    with single(tmp_path, server=block) as server:
        for number in range(60):
            assert server.request("PUT", "/v1/jobs", small_job(f"web-{number}"))[0] == 200
        wait_for(lambda: server.log().count("snapshot written") >= 1, 20, "a snapshot")
        wait_for(lambda: (tmp_path / "data/server/events").exists(), 10, "the events beside it")
        end = last_index(server)
        before, _ = read(server, "after=0", end)
        server.kill()
        server.start().wait_ready()
        wait_for(lambda: last_index(server) >= end, 20, "the state")
        again, _ = read(server, "after=0", end)
        assert again == before and len(again) > 60

        (tmp_path / "data/server/events").write_bytes(b"\x93nonsense")
        server.kill()
        server.start().wait_ready()
        status, text = server.request("GET", "/v1/event/stream?after=0")
        assert status == 410 and "ask for after=" in text, "what is not known is not made up"
        assert "the newest events cannot be read" in server.log()
