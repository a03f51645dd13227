"""A large state is put back into a cluster that goes on living: the answer is the truth, and nobody loses the lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.scale_state import probed
from tests.bench.snapshot import archive, raft_stats
from tests.process.servers import cluster, leader_of, small_job, wait_for
from yurt.server.cli.client import Client

JOBS = 30_000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_restore_of_30000_jobs_is_answered_truthfully_by_the_same_leader(tmp_path: Path) -> None:
    saved = archive(tmp_path, JOBS)
    with cluster(tmp_path, server={"raft_multiplier": 5}) as servers:
        leader = leader_of(servers)
        gone = leader.request("PUT", "/v1/jobs", small_job("gone"))
        assert gone[0] == 200, gone
        term = raft_stats(leader)["term"]
        with probed(servers) as probes, saved.open("rb") as source:
            Client(address=leader.address).upload("/v1/operator/snapshot", source)  # raises unless it is answered well
            assert leader.request("GET", "/v1/job/gone")[0] == 404, "whoever was told that it is done sees it done"
            assert leader.request("GET", f"/v1/job/job-{JOBS - 1:07d}")[0] == 200
        assert raft_stats(leader)["term"] == term, "nobody stood for election"
        assert max(probe.worst for probe in probes) < 2.5, "no server stood still for as long as an election takes"
        for server in servers:
            path = f"/v1/job/job-{JOBS // 2:07d}?stale"
            wait_for(lambda server=server, path=path: server.request("GET", path)[0] == 200, 60, "the state")
        assert leader.request("PUT", "/v1/jobs", small_job("after"))[0] == 200
