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
    told = pytest_in(tmp_path)
    assert "1 failed, 2 passed" in told, told
    assert "kill server" in told, "the report has the faults"
    assert "agent started" in told, "and the logs"


def pytest_in(directory: Path, *words: str) -> str:
    """What pytest says of the tests of a directory."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        directory,
        *words,
        directory,
    ]
    found = subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=100, check=False)
    return found.stdout + found.stderr


@pytest.mark.slow
def test_the_plugin_with_tests_side_by_side(tmp_path: Path) -> None:
    """Under pytest-xdist each worker has a server, and each test its namespace and its time."""
    (tmp_path / "test_mine.py").write_text(
        f"""
import os
import pytest

JOB = {JOB!r}


@pytest.mark.parametrize("number", range(6))
def test_alone(yurt, number):
    assert yurt.api.jobs() == []
    yurt.api.register({{**JOB, "ID": f"job-{{number}}"}})
    assert [job["ID"] for job in yurt.api.jobs()] == [f"job-{{number}}"]
    with open({str(tmp_path)!r} + f"/{{os.environ['PYTEST_XDIST_WORKER']}}-{{number}}", "w") as file:
        file.write(yurt.address)


@pytest.mark.parametrize("number", range(6))
def test_on_virtual_time(yurt_cluster, yurt_clock, number):
    cluster = yurt_cluster(servers=3, in_process=True, seed=number)
    before = yurt_clock.now()
    yurt_clock.advance(30)
    assert yurt_clock.now() == pytest.approx(before + 30)
    cluster.api().register(JOB)
"""
    )
    told = pytest_in(tmp_path, "-n", "2")
    assert "12 passed" in told, told
    addresses = {file.name.split("-")[0]: file.read_text() for file in tmp_path.glob("gw*")}
    assert len(addresses) == 2 and len(set(addresses.values())) == 2, "two workers, each with its own server"


@pytest.mark.slow
def test_disks_and_clocks_that_are_broken_on_purpose() -> None:
    with Cluster(servers=3) as cluster:
        api = cluster.api(timeout=6.0)
        leader = cluster.leader()
        cluster.move_clock(leader, 7200)
        api.register(JOB)
        ahead = api.job("web")["SubmitTime"] / 1e9 - time.time()
        assert ahead == pytest.approx(7200, abs=60) or cluster.leader() is not leader
        cluster.slow_disk(cluster.followers()[0], 0.3)
        api.register({**JOB, "ID": "slow"})  # a majority is fast
        cluster.fill_disk(cluster.followers()[0])
        api.register({**JOB, "ID": "full"})
        cluster.heal()
        api.register({**JOB, "ID": "healed"})
        assert api.job("healed")["SubmitTime"] / 1e9 == pytest.approx(time.time(), abs=60)
        for server in cluster.servers:
            wait_for(
                lambda server=server: len(server.request("GET", "/v1/jobs?stale")[1]) == 4, 20, "all jobs everywhere"
            )
    plain = Cluster(servers=1, faults=False)
    with pytest.raises(ClusterError, match="faults=True"):
        plain.fill_disk("server1")
    plain.close()
