"""Large placements on real servers: a process decides them, and nothing that ends in between places anything twice."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.placement import service
from tests.bench.simulated_nodes import simulated_nodes
from tests.process.servers import ServerProcess, children, cluster, leader_of, single, wait_for

COUNT = 4000


def names(server: ServerProcess, job: str) -> list[str]:
    status, found = server.request("GET", f"/v1/job/{job}/allocations", timeout=30)
    assert status == 200
    return [one["Name"] for one in found if one["DesiredStatus"] == "run"]


def evaluations(server: ServerProcess, job: str) -> list[dict[str, Any]]:
    status, found = server.request("GET", f"/v1/job/{job}/evaluations", timeout=30)
    assert status == 200
    return list(found)


def all_there(server: ServerProcess, job: str) -> None:
    """Every name once, and no evaluation is left."""

    def done() -> bool:
        found = evaluations(server, job)
        return bool(found) and all(one["Status"] == "complete" for one in found)

    wait_for(done, 60, "complete evaluations")
    assert sorted(names(server, job)) == sorted(f"{job}.g[{number}]" for number in range(COUNT))


@pytest.mark.slow
def test_an_evaluation_survives_the_end_of_its_process(tmp_path: Path) -> None:
    with single(tmp_path) as server, simulated_nodes(server, 40):
        assert server.process is not None
        wait_for(
            lambda: server.request("GET", "/v1/operator/keyring/keys")[1], 20, "no process makes a root key any more"
        )
        killed, ended = threading.Event(), threading.Event()

        def kill(parent: int) -> None:
            while not (killed.is_set() or ended.is_set()):
                for pid in children(parent):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.set()
                time.sleep(0.001)

        thread = threading.Thread(target=kill, args=(server.process.pid,))
        thread.start()
        try:
            assert server.request("PUT", "/v1/jobs", service("web", COUNT))[0] == 200
            assert killed.wait(30), "a process decides it"
        finally:
            ended.set()
            thread.join()
        all_there(server, "web")
        assert "an evaluation broke" in (server.directory / "agent.log").read_text(), "it was killed before it was done"


@pytest.mark.slow
def test_a_leader_that_dies_in_the_middle_of_a_large_plan_leaves_it_to_the_next(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        with simulated_nodes(leader, 40):
            assert leader.request("PUT", "/v1/jobs", service("web", COUNT))[0] == 200
            wait_for(lambda: len(names(leader, "web")) > 0, 30, "the first piece of the plan")
            leader.kill()
            left = [one for one in servers if one is not leader]
            all_there(leader_of(left), "web")


@pytest.mark.slow
def test_several_wait_for_one_process_and_all_are_placed(tmp_path: Path) -> None:
    with single(tmp_path) as server, simulated_nodes(server, 40):
        jobs = [f"job-{number}" for number in range(8)]
        for job in jobs:
            assert server.request("PUT", "/v1/jobs", service(job, 400))[0] == 200
        wait_for(lambda: all(len(names(server, job)) == 400 for job in jobs), 60, "all of them")


@pytest.mark.slow
def test_what_finds_no_room_again_waits_and_writes_nothing(tmp_path: Path) -> None:
    with single(tmp_path) as server, simulated_nodes(server, 1):
        assert server.request("PUT", "/v1/jobs", service("web", COUNT, CPU=1000))[0] == 200
        wait_for(lambda: any(one["Status"] == "blocked" for one in evaluations(server, "web")), 30, "a blocked one")
        placed = len(names(server, "web"))
        assert 0 < placed < COUNT
        with simulated_nodes(server, 1, first=1, cpu=500):  # wakes it, and has no room for one
            time.sleep(1.0)
            before = evaluations(server, "web")
            time.sleep(1.0)
            assert evaluations(server, "web") == before, "it is written again and again"
        assert len(names(server, "web")) == placed
