"""A disk whose syncs fail: nothing more is acknowledged, the process ends, what was acknowledged is there."""

from __future__ import annotations

import http.client
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, cluster, leader_of, small_job, wait_for

SOURCE = Path(__file__).with_name("failing_sync.c")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("lib") / "failing_sync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(target), str(SOURCE), "-ldl"], check=True)
    return str(target)


def acknowledged(server: ServerProcess, job_id: str) -> bool:
    """Whether a write through this server was acknowledged."""
    try:
        return server.request("PUT", "/v1/jobs", small_job(job_id), timeout=15)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_leader_whose_syncs_fail_ends_and_loses_nothing(tmp_path: Path, library: str) -> None:
    with cluster(tmp_path) as servers:
        leader = leader_of(servers)
        flag = tmp_path / "fails"
        leader.stop()
        leader.start(LD_PRELOAD=library, YURT_TEST_SYNC_FAILS=str(flag)).wait_ready()
        own = next(
            one for one in leader.request("GET", "/v1/operator/raft/configuration")[1]["Servers"]
            if one["Address"].endswith(f":{leader.rpc_port}")
        )  # fmt: skip
        leader.request("PUT", f"/v1/operator/raft/transfer-leadership?id={own['ID']}")
        wait_for(lambda: leader_of(servers) is leader, 10, "the server with the bad disk leads")
        kept = [f"job-{number}" for number in range(20) if acknowledged(leader, f"job-{number}")]
        assert len(kept) == 20
        flag.touch()
        kept += [f"late-{number}" for number in range(3) if acknowledged(leader, f"late-{number}")]
        assert leader.process is not None
        assert leader.process.wait(15) == 1
        assert "a write or sync failed" in leader.log().lower() or "Input/output error" in leader.log()
        others = [one for one in servers if one is not leader]
        assert acknowledged(others[0], "after")
        flag.unlink()
        leader.start().wait_ready()
        for server in servers:
            stored = {job["ID"] for job in server.request("GET", "/v1/jobs")[1]}
            assert {*kept, "after"} <= stored, server.name
