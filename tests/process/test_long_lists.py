"""Long lists of a large state, asked of three servers: each is answered, and nobody loses the lead meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench.snapshot import archive, raft_stats, restored
from tests.process.servers import ServerProcess, cluster, leader_of, wait_for

JOBS = 50_000
LAST = f"job-{JOBS - 1:07d}"
ANSWER_SECONDS = 60.0
LONG: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("GET", "/v1/jobs", None),
    ("GET", "/v1/jobs/statuses", None),
    ("GET", "/v1/jobs?filter=Priority+%3D%3D+99", None),
    ("GET", f"/v1/jobs?filter=ID+%3D%3D+%22{LAST}%22", None),
    ("GET", "/v1/evaluations", None),
    ("POST", "/v1/search/fuzzy", {"Text": LAST, "Context": "jobs"}),
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_lists_of_50000_jobs_are_answered_in_turn_and_the_leader_stays(tmp_path: Path) -> None:
    saved = archive(tmp_path, JOBS)
    with cluster(tmp_path) as servers:
        restored(leader_of(servers), saved, JOBS)
        for server in servers:
            wait_for(lambda server=server: has_all(server), 60, "the state")
        leader = leader_of(servers)
        terms = [raft_stats(server)["term"] for server in servers]
        for server in (leader, *(one for one in servers if one is not leader)):
            for method, path, body in LONG:
                status, found = server.request(method, path, body, timeout=ANSWER_SECONDS)
                assert status == 200, (server.name, path, found)
                assert is_right(path, found), (server.name, path)
        assert leader_of(servers) is leader
        assert [raft_stats(server)["term"] for server in servers] == terms, "nobody stood for election"


def has_all(server: ServerProcess) -> bool:
    return server.request("GET", f"/v1/job/{LAST}?stale")[0] == 200


def is_right(path: str, found: Any) -> bool:
    """Whether an answer has as many rows as it must have."""
    if path.startswith("/v1/search"):
        return [one["ID"] for one in found["Matches"]["jobs"]] == [LAST]
    wanted = {"Priority": 0, LAST: 1}
    return len(found) == next((count for text, count in wanted.items() if text in path), JOBS)
