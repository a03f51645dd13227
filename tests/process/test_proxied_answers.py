"""Answers of another agent, handed on: compressed once, safe for browsers."""

from __future__ import annotations

import gzip
import http.client
import json
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, wait_for

JOB = {
    "ID": "web", "TaskGroups": [{"Name": "g", "Tasks": [
        {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Resources": {"CPU": 10, "MemoryMB": 10}},
    ]}],
}  # fmt: skip


def asked(server: ServerProcess, path: str, accepted: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": accepted})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.slow
def test_f25_what_a_node_compressed_is_not_compressed_again(tmp_path: Path) -> None:
    with cluster(tmp_path, size=2, client={"enabled": True}) as servers:
        leader = leader_of(servers)
        wait_for(lambda: len(leader.request("GET", "/v1/nodes")[1]) == 2, 30, "two nodes")
        assert leader.request("PUT", "/v1/jobs", {"Job": JOB})[0] == 200
        allocs = wait_for(
            lambda: [a for a in leader.request("GET", "/v1/allocations")[1] if a["ClientStatus"] == "running"],
            30, "a running allocation",
        )  # fmt: skip
        path = f"/v1/client/fs/ls/{allocs[0]['ID']}?path=/"
        for server in servers:  # one of them has it handed on
            for query in ("", "&pretty"):
                answer, body = asked(server, path + query, "gzip")
                assert answer.headers.get_all("content-encoding") == ["gzip"], server
                assert {one["Name"] for one in json.loads(gzip.decompress(body))} >= {"alloc", "t"}
                assert answer.headers.get_all("x-content-type-options") == ["nosniff"]
            answer, body = asked(server, path, "identity")
            assert answer.headers.get_all("content-encoding") is None and json.loads(body)
