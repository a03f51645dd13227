"""A node whose machine stands still for minutes, on virtual time: whole again within seconds of its waking."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.testing import Cluster

STALL_SECONDS, WAKE_SECONDS = 304, 20
NAMES = {f"web.g[{number}]" for number in range(3)}


def job() -> dict[str, Any]:
    task = {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Resources": {"CPU": 20, "MemoryMB": 16}}
    return {"ID": "web", "TaskGroups": [{"Name": "g", "Count": len(NAMES), "Tasks": [task]}]}


@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "unanswered"])
@pytest.mark.parametrize("nodes", [1, 2], ids=["alone", "with another"])
def test_f24_a_node_that_stood_still_for_minutes_runs_what_is_wanted_and_stops_what_was_lost(
    nodes: int, is_answered: bool
) -> None:
    """The question for allocations that was under way has its answer when the node wakes, or never."""
    with Cluster(servers=1, nodes=nodes, in_process=True) as cluster:
        api = cluster.api()

        def allocations() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = api.ask("GET", "/v1/job/web/allocations")
            return found

        api.register(job())
        cluster.clock.sleep(20)
        on_it = {one["ID"] for one in allocations() if one["NodeName"] == "node1" and one["ClientStatus"] == "running"}
        assert on_it
        cluster.pause("node1")
        if not is_answered:
            cluster.restart("server1")
        cluster.clock.sleep(STALL_SECONDS)
        lost = {one["ID"] for one in allocations() if one["ClientStatus"] == "lost"}
        assert lost == on_it, "the node is down, and all that it ran is lost"
        cluster.resume("node1")
        cluster.clock.sleep(WAKE_SECONDS)
        found = allocations()
        running = [one for one in found if one["ClientStatus"] == "running"]
        assert sorted(one["Name"] for one in running) == sorted(NAMES), "every name runs once"
        assert not on_it & {one["ID"] for one in running}
        stopped = {one["ID"] for one in found if one["ClientStatus"] == "complete"}
        assert stopped == on_it, "the node says that it has stopped what was lost"
        assert {one["Status"] for one in api.ask("GET", "/v1/nodes")} == {"ready"}
        assert "node agent stood still" in cluster.nodes[0].log()
