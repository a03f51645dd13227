"""pysyncobj as a server's engine: the same API on real processes, with what the library can do and what it cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yurt.server.testing.agent import wait_for
from yurt.testing import AgentProcess, Cluster, free_ports

pytestmark = pytest.mark.slow
ENGINE = "pysyncobj"
JOB = {"ID": "web", "TaskGroups": [{"Name": "g", "Count": 0, "Tasks": [{"Name": "t", "Driver": "mock_driver"}]}]}


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(servers=3, directory=tmp_path / "cluster", engine=ENGINE, faults=False) as cluster:
        yield cluster


def raft_of(server: Any) -> dict[str, str]:
    found: dict[str, str] = server.request("GET", "/v1/agent/self?stale")[1]["stats"]["raft"]
    return found


def jobs_of(server: Any) -> set[str]:
    status, jobs = server.request("GET", "/v1/jobs")
    assert status == 200, jobs
    return {one["ID"] for one in jobs}


def single(directory: Path, **server: Any) -> AgentProcess:
    http, rpc = free_ports(2)
    block = {"enabled": True, "bootstrap_expect": 1, "raft_engine": ENGINE, **server}
    return AgentProcess(directory / "one", "one", http, rpc, server=block)


def test_a_killed_leader_moves_the_librarys_own_term_and_its_writes_are_there(three: Cluster) -> None:
    api = three.api()
    for number in range(5):
        api.register({**JOB, "ID": f"before-{number}"})
    old = three.leader()
    before = raft_of(old)
    assert (before["engine"], before["state"]) == (ENGINE, "Leader")
    three.kill(old)
    new = three.leader()
    assert new is not old
    wait_for(lambda: int(raft_of(new)["term"]) > int(before["term"]), 20, "a later term", three.clock)
    api.register({**JOB, "ID": "after"})
    wanted = {f"before-{number}" for number in range(5)} | {"after"}
    assert all(jobs_of(one) == wanted for one in three.living), "every server answers default reads"
    three.restart(old)
    assert jobs_of(old) == wanted


def test_blocking_queries_and_check_and_set_work_on_every_server(three: Cluster) -> None:
    api = three.api()
    api.register(JOB)
    follower = three.followers()[0]
    status, job = follower.request("GET", "/v1/job/web")
    assert status == 200
    stale = {"Job": JOB, "EnforceIndex": True, "JobModifyIndex": job["JobModifyIndex"] - 1}
    status, text = follower.request("PUT", "/v1/jobs", stale)
    assert status == 500 and "job modify index" in str(text)
    fresh = {"Job": {**JOB, "Priority": 60}, "EnforceIndex": True, "JobModifyIndex": job["JobModifyIndex"]}
    assert follower.request("PUT", "/v1/jobs", fresh)[0] == 200
    status, found = follower.request("GET", f"/v1/job/web?index={job['ModifyIndex']}&wait=10s")
    assert status == 200 and found["Priority"] == 60


def test_the_leadership_is_handed_over_and_a_server_is_taken_out(three: Cluster) -> None:
    leader, follower = three.leader(), three.followers()[0]
    rows = {
        row["Node"].split(".")[0]: row for row in leader.request("GET", "/v1/operator/raft/configuration")[1]["Servers"]
    }
    status, answer = leader.request("PUT", f"/v1/operator/raft/transfer-leadership?id={rows[follower.name]['ID']}")
    assert status == 200, answer
    assert three.leader() is follower
    status, text = follower.request("DELETE", f"/v1/operator/raft/peer?id={rows[follower.name]['ID']}")
    assert status == 500 and "hand the leadership over" in str(text)
    gone = next(one for one in three.followers() if one is not leader)
    three.kill(gone)
    status, answer = follower.request("DELETE", f"/v1/operator/raft/peer?id={rows[gone.name]['ID']}", timeout=20)
    assert status == 200, answer
    left = follower.request("GET", "/v1/operator/raft/configuration")[1]["Servers"]
    assert {row["Node"].split(".")[0] for row in left} == {leader.name, follower.name}
    three.api().register(JOB)


def test_a_server_joins_a_running_cluster(three: Cluster) -> None:
    three.api().register(JOB)
    http, rpc = free_ports(2)
    peers = [peer for server in three.servers for peer in server.config["server"]["server_join"]["retry_join"]][:1]
    block = {
        **three.servers[0].config["server"],
        "server_join": {"retry_join": peers},
        "bootstrap_expect": 0,
        "pysyncobj": {},
    }
    fourth = AgentProcess(three.directory / "fourth", "fourth", http, rpc, server=block)
    fourth.start()
    try:
        fourth.wait_ready()
        wait_for(lambda: jobs_of(fourth) == {"web"}, 20, "the newcomer's state", three.clock)
        names = {row["Node"] for row in fourth.request("GET", "/v1/operator/raft/configuration")[1]["Servers"]}
        assert "fourth.global" in names and len(names) == 4
    finally:
        fourth.end()


def test_one_server_comes_back_with_its_state_from_journal_and_dump(tmp_path: Path) -> None:
    one = single(tmp_path, raft_snapshot_threshold=20, raft_snapshot_interval="1s")
    one.start()
    try:
        one.wait_ready()
        wanted = {f"job-{number}" for number in range(30)}
        for name in sorted(wanted):
            assert one.request("PUT", "/v1/jobs", {"Job": {**JOB, "ID": name}})[0] == 200
        wait_for(lambda: int(raft_of(one)["last_snapshot_index"]) > 0, 30, "a dump")
        one.kill()
        one.start()
        one.wait_ready()
        assert jobs_of(one) == wanted
    finally:
        one.end()


def test_a_snapshot_is_saved_and_restoring_one_is_refused_with_a_sentence(tmp_path: Path) -> None:
    one = single(tmp_path)
    one.start()
    try:
        one.wait_ready()
        assert one.request("PUT", "/v1/jobs", {"Job": JOB})[0] == 200
        archive, yurt = tmp_path / "state.snap", (sys.executable, "-m", "yurt.server.cli", "operator", "snapshot")
        address = ("-address", one.address)
        subprocess.run([*yurt, "save", *address, str(archive)], check=True, capture_output=True, timeout=60)
        done = subprocess.run(
            [*yurt, "restore", *address, str(archive)], check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1 and "the pysyncobj engine cannot restore a snapshot" in done.stderr + done.stdout
        assert jobs_of(one) == {"web"}
    finally:
        one.end()


def test_a_directory_of_the_other_engine_is_refused_and_kept(tmp_path: Path) -> None:
    one = single(tmp_path)
    one.start()
    one.wait_ready()
    assert one.stop() == 0
    one.config["server"]["raft_engine"] = "core"
    one.start()
    assert one.process is not None and one.process.wait(60) == 1
    assert "was written by the engine pysyncobj" in one.log(4000)
    one.config["server"]["raft_engine"] = ENGINE
    one.start()
    try:
        one.wait_ready()
    finally:
        one.end()


def test_beyond_loopback_the_library_needs_a_password(tmp_path: Path) -> None:
    one = single(tmp_path, pysyncobj={"address": "0.0.0.0:4649"})
    one.start()
    assert one.process is not None and one.process.wait(60) == 1
    log = one.log(4000)
    assert 'pysyncobj { password = "..." }' in log and "0.0.0.0" in log
