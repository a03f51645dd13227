"""Every disk of a cluster is replaced in turn: variables stay readable, and health says which server lacks keys."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, wait_for

QUICK = {"raft_snapshot_threshold": 10, "raft_snapshot_interval": "1s", "raft_trailing_logs": 3}
AUTOPILOT = {"server_stabilization_time": "1s"}
ITEMS = {f"app/n{number}": {"password": f"secret {number}"} for number in range(20)}


def write(server: ServerProcess, path: str, body: Any = None) -> Any:
    """PUT until it is done: on a busy machine a leader may change under it. Return the answer."""
    answers: list[Any] = []

    def is_done() -> bool:
        status, answer = server.request("PUT", path, body)
        answers.append(answer)
        return status == 200

    wait_for(is_done, 30, f"PUT {path}: {answers[-1:]}")
    return answers[-1]


def health(server: ServerProcess) -> dict[str, Any]:
    """What autopilot says, healthy or not."""
    found = server.request("GET", "/v1/operator/autopilot/health")[1]
    return dict(found) if isinstance(found, dict) else {}


def whole(servers: list[ServerProcess]) -> bool:
    """Whether all servers vote and are healthy."""
    found = health(leader_of(servers))
    return bool(found.get("Healthy")) and len(found["Voters"]) == len(servers) and found["FailureTolerance"] == 1


def wait_until_ready(server: ServerProcess) -> None:
    """Until it has caught up and can use every root key."""
    told: list[Any] = []

    def is_ready() -> bool:
        status, answer = server.request("GET", "/v1/agent/health?type=ready")
        told[:] = [answer]
        return status == 200

    wait_for(is_ready, 30, f"{server.name} is ready: {told}")


def replace_disk(servers: list[ServerProcess], server: ServerProcess) -> None:
    """kill -9, an empty directory, and it joins as a new server; return when the cluster says that all is well."""
    server.kill()
    shutil.rmtree(server.directory / "data")
    server.start().wait_ready()
    wait_for(lambda: whole(servers), 60, f"{server.name} with a new disk is healthy")


@pytest.mark.slow
def test_s22_variables_outlive_every_disk_replaced_in_turn(tmp_path: Path) -> None:
    with cluster(tmp_path, server=QUICK, autopilot=AUTOPILOT) as servers:
        for path, items in ITEMS.items():
            write(servers[0], f"/v1/var/{path}", {"Items": items})
        for server in sorted(servers, key=lambda one: one is leader_of(servers)):  # the leader last
            replace_disk(servers, server)
        for server in servers:
            wait_until_ready(server)
            for path, items in ITEMS.items():
                assert server.request("GET", f"/v1/var/{path}?stale")[1]["Items"] == items
