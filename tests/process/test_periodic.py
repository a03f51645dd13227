"""A periodic job is launched by the clock of a real cluster, also after its leader has died."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, small_job, wait_for


def children(server: ServerProcess) -> list[int]:
    """The launch times of the job's children."""
    status, body = server.request("GET", "/v1/jobs?prefix=tick/")
    assert status == 200
    return sorted(int(job["ID"].rpartition("-")[2]) for job in body)


@pytest.mark.slow
def test_every_second_is_launched_once_through_a_change_of_leader(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        job: dict[str, Any] = small_job("tick", Type="batch", Periodic={"Specs": ["* * * * * * *"]})
        assert servers[0].request("PUT", "/v1/jobs", job)[0] == 200
        wait_for(lambda: len(children(servers[0])) >= 3, 10, "three launches")
        leader = leader_of(servers)
        leader.kill()
        other = next(one for one in servers if one is not leader)
        before = children(other)
        wait_for(lambda: len(children(other)) >= len(before) + 3, 15, "launches by the next leader")
        times = children(other)
        assert len(times) == len(set(times))
        assert other.request("DELETE", "/v1/job/tick")[0] == 200
        assert other.request("GET", "/v1/job/tick/summary")[1]["Children"]["Dead"] >= len(times)
