"""A cluster of three with many jobs: long lists topple no leader, and nobody else waits for them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.bench.snapshot import archive, raft_stats, restored
from tests.process.servers import ServerProcess, cluster, leader_of, small_job, wait_for

JOBS = 50_000
SECONDS = 15.0
LISTS = ("/v1/jobs", "/v1/evaluations", "/v1/jobs/statuses", "/v1/jobs?filter=Priority+%3D%3D+99")
SEARCH = {"Text": "zz", "Context": "all"}


def ask_for_lists(server: ServerProcess, first: int, until: float, failures: list[str]) -> None:
    number = first
    while time.monotonic() < until:
        path = LISTS[number % len(LISTS)]
        status, rows = server.request("GET", path, timeout=120)
        wanted = 0 if "filter" in path else JOBS
        if status != 200 or len(rows) < wanted:
            failures.append(f"{path}: {status}, {len(rows)} rows")
        status, _ = server.request("POST", "/v1/search/fuzzy", SEARCH, timeout=120)
        if status != 200:
            failures.append(f"search: {status}")
        number += 1


@pytest.mark.slow
def test_no_leader_changes_while_clients_ask_for_all_lists_at_once(tmp_path: Path) -> None:
    saved = archive(tmp_path, JOBS)
    with cluster(tmp_path / "servers") as servers:
        leader = leader_of(servers)
        restored(leader, saved, JOBS)
        leader = leader_of(servers)
        for server in servers:
            wait_for(
                lambda server=server: len(server.request("GET", "/v1/jobs?per_page=2&stale")[1]) == 2, 120, "restored"
            )  # type: ignore[misc]
        term, failures = raft_stats(leader)["term"], list[str]()
        until = time.monotonic() + SECONDS
        threads = [
            threading.Thread(target=ask_for_lists, args=(leader, number, until, failures)) for number in range(4)
        ]
        for thread in threads:
            thread.start()
        written = 0
        while any(thread.is_alive() for thread in threads):
            assert leader.request("PUT", "/v1/jobs", small_job(f"more-{written % 100}"), timeout=60)[0] == 200
            written += 1
        for thread in threads:
            thread.join()
        assert failures == []
        assert written > SECONDS, "registrations go on"
        assert raft_stats(leader)["term"] == term, "a leader was toppled"
        assert leader_of(servers) is leader
