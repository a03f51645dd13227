"""Disks of whole clusters that are replaced while clients and other faults go on: variables stay readable.

As operators are told: a disk is replaced only while the cluster says that it is healthy and may lose a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yurt.server.testing.virtual.server import VirtualServer

ITEMS = {f"secret/{number}": {"password": str(number)} for number in range(3)}
ANSWER_SECONDS, WRITE_SECONDS, READY_SECONDS = 2.0, 20.0, 60.0


def write_variables(servers: Sequence[VirtualServer]) -> None:
    """Write every variable before anything breaks; raises AssertionError."""
    for path, items in ITEMS.items():
        status, answer = servers[0].request("PUT", f"/v1/var/{path}", {"Items": items}, timeout=WRITE_SECONDS)
        assert status == 200, f"{path} is not written: {answer}"


def may_lose_one(servers: Sequence[VirtualServer]) -> bool:
    """Whether all servers vote, are healthy as the leader sees them, and one of them may be lost."""
    for server in servers:
        try:
            status, found = server.request("GET", "/v1/operator/autopilot/health", timeout=ANSWER_SECONDS)
        except OSError:
            return False
        if status != 200:
            return False
        # Just after a kill the leader may not have missed the old server yet: the machines' present IDs must be there.
        return set(found["Voters"]) == {machine.server_id for machine in servers} and found["FailureTolerance"] > 0
    return False


def replace_disk(servers: Sequence[VirtualServer], server: VirtualServer) -> bool:
    """Replace a server's disk, if the cluster may lose the server; whether it was done."""
    if len(servers) < 3 or not may_lose_one(servers):
        return False
    server.replace_disk()
    return True


def check_variables(servers: Sequence[VirtualServer]) -> None:
    """Every server becomes ready and shows every variable from its own state; raises AssertionError."""
    for server in servers:
        deadline = server.world.time + READY_SECONDS
        told: Any = None
        while (ready := server.request("GET", "/v1/agent/health?type=ready", timeout=WRITE_SECONDS))[0] != 200:
            told = ready[1]
            assert server.world.time < deadline, f"{server.name} is not ready in peace: {told}"
            server.clock_of_all.sleep(1.0)
        for path, items in ITEMS.items():
            status, shown = server.request("GET", f"/v1/var/{path}?stale", timeout=WRITE_SECONDS)
            assert (status, status == 200 and shown["Items"]) == (200, items), f"{server.name} shows {path}: {shown}"
