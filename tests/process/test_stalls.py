"""Agents that stand still for longer than a heartbeat lives, and go on: they are whole again within seconds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, single, wait_for
from tests.process.test_nodes import agent, nodes, running, service
from yurt.server.testing.process import end_tasks

TTL_SECONDS, STALL_SECONDS, WAKE_SECONDS = 2, 22.0, 20.0
SERVER = {
    "enabled": True, "bootstrap_expect": 1, "min_heartbeat_ttl": f"{TTL_SECONDS}s", "heartbeat_grace": "2s",
    "failover_heartbeat_ttl": "5s",
}  # fmt: skip


def real_service(job_id: str, directory: Path) -> dict[str, Any]:
    """A service whose task is a process, which says that it lives."""
    job = service(job_id)
    script = f"while true; do echo $NOMAD_ALLOC_ID >> {directory}/alive; sleep 0.2; done"
    task = job["Job"]["TaskGroups"][0]["Tasks"][0]
    task |= {"Driver": "raw_exec", "Config": {"command": "/bin/sh", "args": ["-c", script]}}
    return job


def living(directory: Path, seconds: float = 1.0) -> set[str]:
    """The allocations whose processes wrote something in so many seconds."""
    file = directory / "alive"
    before = file.stat().st_size if file.exists() else 0
    time.sleep(seconds)
    return set(file.read_text()[before:].split()) if file.exists() else set()


def register(server: ServerProcess, job: dict[str, Any]) -> None:
    """Register a job, also while the servers elect a leader."""
    wait_for(lambda: server.request("PUT", "/v1/jobs", job)[0] == 200, 30, "the job is registered")


def settled(server: ServerProcess, directory: Path, job: str) -> str:
    """The one allocation that runs, once its process is the only one; within the time that waking may take."""
    found: str = ""

    def is_whole() -> bool:
        nonlocal found
        status, rows = server.request("GET", f"/v1/job/{job}/allocations")
        wanted = [row["ID"] for row in rows if row["DesiredStatus"] == "run"] if status == 200 else []
        if len(wanted) != 1:
            return False
        found = wanted[0]
        return living(directory) == {found}

    wait_for(is_whole, WAKE_SECONDS, f"exactly one process of {job}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("alone", [False, True], ids=["beside", "alone"])
def test_f24_a_node_that_stood_still_runs_what_is_wanted_and_nothing_else(tmp_path: Path, alone: bool) -> None:
    client = {"enabled": not alone, "options": {}}
    plugin = {"raw_exec": {"config": {"enabled": True}}}
    with single(tmp_path / "server", server=SERVER, client=client, plugin=plugin) as server:
        node = agent(tmp_path, [server], "n1") if alone else server
        node.config["plugin"] = plugin
        try:
            if alone:
                node.start()
            wait_for(lambda: any(one["Status"] == "ready" for one in nodes(server).values()), 20, "a ready node")
            assert server.request("PUT", "/v1/jobs", real_service("web", tmp_path))[0] == 200
            running(server, "web", 1)
            before = settled(server, tmp_path, "web")
            node.pause()
            time.sleep(STALL_SECONDS)
            node.resume()
            after = settled(server, tmp_path, "web")
            are_ready = lambda: all(one["Status"] == "ready" for one in nodes(server).values())  # noqa: E731
            wait_for(are_ready, WAKE_SECONDS, "a ready node")
            assert server.request("GET", "/v1/agent/health?type=ready")[0] == 200
            if alone:
                assert after != before, "its allocation was lost, and another one runs"
                assert "node agent stood still" in node.log()
        finally:
            node.end()
            end_tasks(tmp_path)


@pytest.mark.slow
def test_f24_a_leader_that_stood_still_follows_and_its_nodes_stay(tmp_path: Path) -> None:
    with cluster(tmp_path, server={**SERVER, "bootstrap_expect": 3}) as servers:
        node = agent(tmp_path, servers, "n1")
        try:
            node.start()
            leader = leader_of(servers)
            wait_for(lambda: nodes(leader).get("n1", {}).get("Status") == "ready", 20, "a ready node")
            register(leader, service("web"))
            running(leader, "web", 1)
            leader = leader_of(servers)
            leader.pause()
            others = [one for one in servers if one is not leader]
            wait_for(lambda: leader_of(others) is not leader, 30, "another leader")
            register(others[0], service("more"))
            running(others[0], "more", 1)
            time.sleep(STALL_SECONDS / 2)
            leader.resume()

            def is_caught_up() -> bool:
                return leader.request("GET", "/v1/agent/health?type=ready", timeout=5)[0] == 200

            wait_for(is_caught_up, WAKE_SECONDS, "the old leader is ready")
            assert len(running(leader, "more", 1)) == 1
        finally:
            node.end()
