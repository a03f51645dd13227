"""`yurt.testing`: a real cluster in a test, and faults on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from yurt.server.testing.agent import wait_for
from yurt.testing import Cluster, ClusterError

JOB = {"ID": "web", "TaskGroups": [{"Name": "g", "Count": 0, "Tasks": [{"Name": "t", "Driver": "mock_driver"}]}]}


def test_importing_it_loads_neither_server_nor_test_library() -> None:
    code = (
        "import sys, yurt.testing;"
        "bad = [m for m in sys.modules if m in ('pytest', 'starlette', 'uvicorn', 'pysyncobj', 'yurt.server.agent')];"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_leader_dies_in_the_middle_of_writes_and_nothing_is_lost() -> None:
    with Cluster(servers=3) as cluster:
        api = cluster.api()
        for number in range(10):
            api.register({**JOB, "ID": f"before-{number}"})
        cluster.kill(cluster.leader())
        for number in range(10):
            api.register({**JOB, "ID": f"after-{number}"})
        assert len(api.jobs()) == 20
        assert len(api.history) >= 21
        down = next(one for one in cluster.servers if not one.is_running)
        cluster.restart(down)
        assert len(down.request("GET", "/v1/jobs")[1]) == 20
        directory = cluster.directory
    assert not directory.exists()


@pytest.mark.slow
def test_cut_off_paused_and_slow_servers(tmp_path: Path) -> None:
    with Cluster(servers=3, directory=tmp_path / "kept") as cluster:
        api = cluster.api(timeout=6.0)
        old = cluster.leader()
        cluster.isolate(old)
        api.register({**JOB, "ID": "isolated"})
        assert old.request("GET", "/v1/jobs?stale")[0] == 200
        cluster.heal()
        cluster.pause(cluster.leader())
        api.register({**JOB, "ID": "paused"})
        cluster.heal()
        follower = cluster.followers()[0]
        cluster.slow(follower, 0.05)
        started = time.monotonic()
        assert follower.request("GET", "/v1/job/paused")[0] == 200
        assert time.monotonic() - started > 0.05, "the question to the leader takes longer"
        cluster.heal()
        cluster.partition(cluster.servers[0], cluster.servers[1], one_way=True)
        api.register({**JOB, "ID": "one-way"})
        assert {"isolated", "paused", "one-way"} == {job["ID"] for job in api.jobs()}
        assert [text.split()[0] for _, text in cluster.timeline][:3] == ["isolate", "heal", "pause"]
    assert (tmp_path / "kept" / "server1" / "agent.log").exists()


@pytest.mark.slow
def test_a_node_is_lost_and_its_work_moves() -> None:
    task = {"Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/sleep", "args": ["1000"]}}
    task["Resources"] = {"CPU": 20, "MemoryMB": 20}
    job = {"ID": "work", "TaskGroups": [{"Name": "g", "Count": 2, "Tasks": [task]}]}
    heartbeats = {"min_heartbeat_ttl": "1s", "heartbeat_grace": "1s"}
    with Cluster(servers=1, nodes=2, config={"server": heartbeats}) as cluster:
        api = cluster.api()
        api.register(job)

        def running() -> dict[str, str]:
            found = api.ask("GET", "/v1/job/work/allocations")
            return {one["ID"]: one["NodeName"] for one in found if one["ClientStatus"] == "running"}

        wait_for(lambda: len(running()) == 2, 20, "two allocations")
        lost = cluster.kill("node1")
        wait_for(
            lambda: len(running()) == 2 and set(running().values()) == {"node2"}, 40, "all of it on the other node"
        )
        cluster.restart(lost)
        assert [one.name for one in cluster.nodes if one.is_running] == ["node1", "node2"]
        directory = str(cluster.directory)

    def left() -> list[str]:
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if b"supervisor.py" in (entry / "cmdline").read_bytes():
                    found += [one for one in map(os.readlink, (entry / "fd").iterdir()) if one.startswith(directory)]
        return found

    wait_for(lambda: not left(), 10, "the end of its tasks")


def test_what_cannot_be_done_says_so(tmp_path: Path) -> None:
    cluster = Cluster(servers=1, directory=tmp_path)
    with pytest.raises(ClusterError, match="no links to cut"):
        cluster.isolate("server1")
    with pytest.raises(ClusterError, match="there is no server nobody; there are server1"):
        cluster.kill("nobody")
    cluster.close()


@pytest.mark.slow
def test_the_plugin_in_somebody_elses_tests(tmp_path: Path) -> None:
    """Tests in a folder of their own; one fails on purpose, and its report tells the story."""
    (tmp_path / "test_mine.py").write_text(
        f"""
import nomad

JOB = {JOB!r}


def test_a_namespace_of_its_own(yurt):
    yurt.api.register({{**JOB, "ID": "a"}})
    assert [job["ID"] for job in yurt.api.jobs()] == ["a"]


def test_another_one(yurt, monkeypatch):
    assert yurt.api.jobs() == []
    for name, value in yurt.env().items():
        monkeypatch.setenv(name, value)
    client = nomad.Nomad(host="127.0.0.1", port=int(yurt.address.rsplit(":", 1)[1]), namespace=yurt.namespace)
    client.jobs.register_job({{"Job": JOB}})
    assert client.job.get_job("web")["Namespace"] == yurt.namespace


def test_a_cluster_that_is_broken(yurt_cluster):
    cluster = yurt_cluster(servers=3)
    cluster.kill(cluster.leader())
    cluster.api().register({{**JOB, "ID": "b"}})
    raise AssertionError("on purpose")
"""
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=100, check=False)
    assert "1 failed, 2 passed" in found.stdout, found.stdout
    assert "kill server" in found.stdout, "the report has the faults"
    assert "agent started" in found.stdout, "and the logs"
