"""The leader of three real processes is killed twenty times under writes: nothing acknowledged is lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, small_job, wait_for

KILLS = 20
WRITERS = 4
WRITES_BETWEEN_KILLS = 12


class Writer(threading.Thread):
    """Registers one job after another through any server and keeps what was acknowledged: job → JobModifyIndex."""

    def __init__(self, number: int, servers: list[ServerProcess], ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number, self.servers, self.ended = number, servers, ended
        self.acknowledged: dict[str, int] = {}
        self.indexes: list[int] = []
        self.unknown = 0

    def run(self) -> None:
        count = 0
        while not self.ended.is_set():
            count += 1
            job_id = f"w{self.number}-{count}"
            server = self.servers[count % len(self.servers)]
            try:
                status, body = server.request("PUT", "/v1/jobs", small_job(job_id), timeout=15)
            except OSError:
                self.unknown += 1
                time.sleep(0.05)
                continue
            if status == 200:
                self.acknowledged[job_id] = body["JobModifyIndex"]
                self.indexes.append(body["JobModifyIndex"])


def acknowledged_count(writers: list[Writer]) -> int:
    return sum(len(writer.acknowledged) for writer in writers)


def wait_for_writes(writers: list[Writer], more: int) -> None:
    wanted = acknowledged_count(writers) + more
    wait_for(lambda: acknowledged_count(writers) >= wanted, 60, "writes between kills")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_killed_leaders_lose_nothing_acknowledged(tmp_path: Path) -> None:
    ended = threading.Event()
    with cluster(tmp_path) as servers:
        writers = [Writer(number, servers, ended) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for _ in range(KILLS):
            wait_for_writes(writers, WRITES_BETWEEN_KILLS)
            victim = leader_of(servers)
            victim.kill()
            rest = [server for server in servers if server is not victim]
            leader_of(rest)
            victim.start()
            victim.wait_ready()
        ended.set()
        for writer in writers:
            writer.join(30)
        stored = {job["ID"]: job for job in servers[0].request("GET", "/v1/jobs")[1]}
        check(writers, stored)
        for server in servers:
            wait_for(lambda server=server: same_jobs(server, set(stored)), 20, f"{server.name} has every job")


def same_jobs(server: ServerProcess, wanted: set[str]) -> bool:
    return {job["ID"] for job in server.request("GET", "/v1/jobs?stale")[1]} == wanted


def check(writers: list[Writer], stored: dict[str, Any]) -> None:
    """Every acknowledged job is there with the index it was acknowledged with; no two share one; each writer's rose."""
    everything: list[int] = []
    for writer in writers:
        assert writer.indexes == sorted(set(writer.indexes)), "indexes seen by one client rise strictly"
        everything += writer.indexes
        for job_id, index in writer.acknowledged.items():
            assert job_id in stored, f"{job_id} was acknowledged at {index} and is lost"
            assert stored[job_id]["JobModifyIndex"] == index
    assert len(everything) == len(set(everything)), "no two writes share an index"
    assert len(everything) >= KILLS * WRITES_BETWEEN_KILLS
