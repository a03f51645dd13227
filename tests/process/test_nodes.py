"""Node agents as processes of their own, against servers that are killed (spec node-agent §1, scheduling §9, §18)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, single, wait_for

QUICK = {"min_heartbeat_ttl": "300ms", "heartbeat_grace": "300ms", "failover_heartbeat_ttl": "5s"}


def agent(directory: Path, servers: list[ServerProcess], name: str, **client: Any) -> ServerProcess:
    """A node agent that knows the servers' addresses."""
    block = {"enabled": True, "servers": [f"127.0.0.1:{one.http_port}" for one in servers], **client}
    http_port, rpc_port = free_ports(2)
    return ServerProcess(directory / name, name, http_port, rpc_port, client=block)


def service(job_id: str, count: int = 1, **fields: Any) -> dict[str, Any]:
    task = {
        "Name": "task", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Resources": {"CPU": 10, "MemoryMB": 10},
    }  # fmt: skip
    group = {"Name": "group", "Count": count, "Tasks": [task], **fields}
    return {"Job": {"ID": job_id, "TaskGroups": [group], "Update": {"MaxParallel": 0}}}


def nodes(server: ServerProcess) -> dict[str, Any]:
    return {one["Name"]: one for one in server.request("GET", "/v1/nodes")[1]}


def running(server: ServerProcess, job: str, count: int) -> list[Any]:
    def there() -> Any:
        status, found = server.request("GET", f"/v1/job/{job}/allocations")
        live = [
            one for one in found if status == 200 and (one["ClientStatus"], one["DesiredStatus"]) == ("running", "run")
        ]
        return live if len(live) == count else None

    live: list[Any] = wait_for(there, 30, f"{count} running allocations of {job}")
    return live


@pytest.mark.slow
def test_a_node_outlives_the_leader(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        node = agent(tmp_path, servers, "n1")
        try:
            node.start()
            leader = leader_of(servers)
            wait_for(lambda: nodes(leader).get("n1", {}).get("Status") == "ready", 20, "a ready node")
            leader.request("PUT", "/v1/jobs", service("web", 3))
            before = {one["ID"] for one in running(leader, "web", 3)}
            leader.kill()
            left = [one for one in servers if one is not leader]
            assert {one["ID"] for one in running(leader_of(left), "web", 3)} == before
            left[0].request("PUT", "/v1/jobs", service("web", 5))
            assert before < {one["ID"] for one in running(left[0], "web", 5)}
            assert node.stop() == 0
        finally:
            node.end()


@pytest.mark.slow
def test_a_node_that_is_gone_loses_its_allocations_and_gets_them_when_it_is_back(tmp_path: Path) -> None:
    server_block = {"enabled": True, "bootstrap_expect": 1, **QUICK}
    with single(tmp_path / "server", server=server_block) as server:
        node, other = agent(tmp_path, [server], "n1"), agent(tmp_path, [server], "n2")
        try:
            node.start()
            wait_for(lambda: nodes(server).get("n1", {}).get("Status") == "ready", 20, "a ready node")
            server.request("PUT", "/v1/jobs", service("web", 2))
            running(server, "web", 2)
            node.kill()
            wait_for(lambda: nodes(server)["n1"]["Status"] == "down", 20, "a node that is down")
            allocations = server.request("GET", "/v1/job/web/allocations")[1]
            wait_for(
                lambda: {
                    one["ClientStatus"] for one in server.request("GET", "/v1/job/web/allocations")[1]
                } == {"lost"}, 10, "lost allocations",
            )  # fmt: skip
            other.start()
            live = running(server, "web", 2)
            assert {one["ID"] for one in live}.isdisjoint({one["ID"] for one in allocations})
            node.start()
            wait_for(lambda: nodes(server)["n1"]["Status"] == "ready", 20, "the node again")
            events = server.request("GET", f"/v1/node/{nodes(server)['n1']['ID']}")[1]["Events"]
            assert "Node heartbeat missed" in [one["Message"] for one in events]
            wait_for(
                lambda: all(
                    one["ClientStatus"] == "complete"
                    for one in server.request("GET", "/v1/job/web/allocations")[1]
                    if one["DesiredStatus"] == "stop"
                ), 10, "the old allocations to have ended",
            )  # fmt: skip
        finally:
            node.end()
            other.end()


@pytest.mark.slow
def test_a_node_keeps_its_identity_over_a_restart(tmp_path: Path) -> None:
    with single(tmp_path / "server") as server:
        node = agent(tmp_path, [server], "n1", node_class="big", meta={"rack": "r1"})
        try:
            node.start()
            first = wait_for(lambda: nodes(server).get("n1"), 20, "a node")
            assert node.stop() == 0
            node.start()
            wait_for(lambda: nodes(server)["n1"]["ModifyIndex"] > first["ModifyIndex"], 20, "the node again")
            again = nodes(server)
            assert list(again) == ["n1"] and again["n1"]["ID"] == first["ID"] and again["n1"]["NodeClass"] == "big"
        finally:
            node.end()


@pytest.mark.slow
def test_the_command_line_on_a_server_with_a_node(tmp_path: Path) -> None:
    http_port, rpc_port = free_ports(2)
    server = ServerProcess(tmp_path, "dev", http_port, rpc_port)

    def yurt(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "yurt.server.cli", *words, "-address", server.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    try:
        server.start("-dev").wait_ready()
        wait_for(lambda: nodes(server).get("dev", {}).get("Status") == "ready", 20, "a ready node")
        job = tmp_path / "job.json"
        job.write_text(json.dumps(service("web", 2)))
        followed = yurt("job", "run", str(job))
        assert followed.count("created: node") == 2 and 'finished with status "complete"' in followed
        alloc = running(server, "web", 2)[0]["ID"]
        assert "ready" in yurt("node", "status") and "mock_driver" in yurt("node", "status", "-self")
        assert "Task started by client" in yurt("alloc", "status", alloc[:8])
        assert alloc[:8] in yurt("job", "allocs", "web") and alloc[:8] in yurt("job", "status", "web")
        assert "job-register" in yurt("eval", "list") and "No deployments found" in yurt("job", "deployments", "web")
        yurt("alloc", "stop", alloc[:8])
        running(server, "web", 2)
        assert "ineligible" in yurt("node", "eligibility", "-self", "-disable")
        assert "Drain complete" in yurt("node", "drain", "-self", "-enable", "-force")
        yurt("deployment", "status", "11111111", code=1)
        assert server.stop() == 0
    finally:
        server.end()
