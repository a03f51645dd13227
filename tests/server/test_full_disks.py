"""Disks without room on whole clusters on virtual time: who says so, what is refused, what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.server.testing.agent import wait_for
from yurt.testing import Cluster

OWN = "the disk has no space left for the log; nothing was written, reads go on: free some space"
MOST = "the disks of most servers have no space left for the log; nothing was written, reads go on: free some space"
WARNING = "the disk has no space left for the log: free some space"


def job(number: int) -> dict[str, Any]:
    task = {"Name": "t", "Driver": "mock_driver"}
    groups = [{"Name": "g", "Count": 0, "Tasks": [task]}]
    return {"Job": {"ID": f"job-{number}", "Meta": {"filler": "x" * 400_000}, "TaskGroups": groups}}


def test_when_most_disks_are_full_the_leader_refuses_and_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "autopilot")
    with Cluster(3, in_process=True, seed=4) as cluster:
        leader, followers = cluster.leader(), cluster.followers()
        written: list[int] = []
        for server in followers:
            cluster.fill_disk(server)

        def refused() -> bool:
            try:
                status, told = leader.request("PUT", "/v1/jobs", job(len(written)), timeout=8.0)
            except TimeoutError:  # it stays in the leader's log
                written.append(len(written))
                return False
            if status == 200:
                written.append(len(written))
                return False
            assert (status, told) == (500, MOST)
            return True

        wait_for(refused, 120, "a refusal", cluster.clock)
        assert followers[0].request("PUT", "/v1/jobs", job(1000)) == (500, f"rpc error: {MOST}")
        status, health = leader.request("GET", "/v1/operator/autopilot/health")
        assert (status, health["FailureTolerance"]) == (429, 0)
        assert {row["Name"] for row in health["Servers"] if not row["Healthy"]} == {
            f"{server.name}.global" for server in followers
        }
        for server in followers:
            assert server.request("GET", "/v1/agent/health")[1]["server"]["details"] == [WARNING]
        for server in cluster.servers:
            assert server.request("GET", "/v1/jobs")[0] == 200
        for server in followers:
            cluster.fill_disk(server, full=False)
        wait_for(lambda: leader.request("PUT", "/v1/jobs", job(2000))[0] == 200, 20, "writes go on", cluster.clock)
        stored = {row["ID"] for row in leader.request("GET", "/v1/jobs")[1]}
        assert stored == {f"job-{number}" for number in (*written, 2000)}
        cluster.clock.sleep(4.0)
        assert leader.request("GET", "/v1/operator/autopilot/health")[0] == 200
        assert "details" not in followers[0].request("GET", "/v1/agent/health")[1]["server"]
    said = [record.message for record in caplog.records if record.name == "autopilot"]
    assert said.count("the disk has no space left for the log; new entries are refused until there is room") == 2
    assert said.count("there is room for the log again") == 2
