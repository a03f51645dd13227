"""Large placements on real servers: a process decides them, and neither its end nor the leader's places anything twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.simulated_nodes import simulated_nodes
from tests.process.servers import ServerProcess, cluster, leader_of, single, wait_for

COUNT = 4000


def large(job_id: str, count: int = COUNT) -> dict[str, Any]:
    task = {"Name": "t", "Driver": "mock_driver", "Resources": {"CPU": 1, "MemoryMB": 10}}
    group = {"Name": "g", "Count": count, "Tasks": [task], "EphemeralDisk": {"SizeMB": 110, "Migrate": False}}
    return {"Job": {"ID": job_id, "TaskGroups": [group], "Update": {"MaxParallel": 0}}}


def children(server: ServerProcess) -> list[int]:
    assert server.process is not None
    found: list[int] = []
    for task in Path(f"/proc/{server.process.pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def names(server: ServerProcess, job: str) -> list[str]:
    status, found = server.request("GET", f"/v1/job/{job}/allocations", timeout=30)
    assert status == 200
    return [one["Name"] for one in found if one["DesiredStatus"] == "run"]


def all_there(server: ServerProcess, job: str) -> None:
    """Every name once, and no evaluation is left."""

    def done() -> bool:
        status, found = server.request("GET", f"/v1/job/{job}/evaluations", timeout=30)
        return status == 200 and bool(found) and all(one["Status"] == "complete" for one in found)

    wait_for(done, 60, "complete evaluations")
    found = names(server, job)
    assert sorted(found) == sorted(f"{job}.g[{number}]" for number in range(COUNT))


@pytest.mark.slow
def test_a_large_evaluation_holds_nobody_up_and_survives_the_end_of_its_process(tmp_path: Path) -> None:
    with single(tmp_path) as server, simulated_nodes(server, 40):
        killed = threading.Event()

        def kill() -> None:
            while not killed.is_set():
                for pid in children(server):
                    os.kill(pid, signal.SIGKILL)
                    killed.set()
                time.sleep(0.001)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            assert server.request("PUT", "/v1/jobs", large("web"))[0] == 200
            assert killed.wait(30), "a process decides it"
        finally:
            killed.set()
            thread.join()
        all_there(server, "web")


@pytest.mark.slow
def test_a_leader_that_dies_in_the_middle_of_a_large_plan_leaves_it_to_the_next(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        with simulated_nodes(leader, 40):
            assert leader.request("PUT", "/v1/jobs", large("web"))[0] == 200
            wait_for(lambda: len(names(leader, "web")) > 0, 30, "the first piece of the plan")
            leader.kill()
            left = [one for one in servers if one is not leader]
            all_there(leader_of(left), "web")
