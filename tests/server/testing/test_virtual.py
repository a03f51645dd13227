"""`Cluster(in_process=True)`: the product's servers and node agents in one process, on virtual time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from yurt.server.testing.plugin import TestClock
from yurt.testing import Cluster, ClusterError, Event, check

TASK = {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1h"}, "Resources": {"CPU": 20, "MemoryMB": 16}}


def job(job_id: str = "web", count: int = 0, **fields: Any) -> dict[str, Any]:
    return {"ID": job_id, "TaskGroups": [{"Name": "g", "Count": count, "Tasks": [TASK]}], **fields}


def test_a_leader_is_lost_in_the_middle_of_a_write_and_nothing_is_lost() -> None:
    with Cluster(servers=3, in_process=True, seed=4) as cluster:
        api = cluster.api()
        for number in range(10):
            api.register(job(f"before-{number}"))
        leader = cluster.leader()
        pending = leader.begin("PUT", "/v1/jobs", {"Job": job("meanwhile")})  # type: ignore[attr-defined]
        cluster.clock.sleep(0.002)
        cluster.kill(leader)
        assert pending.is_lost and not pending.is_done
        for number in range(10):
            api.register(job(f"after-{number}"))
        known = {one["ID"] for one in api.jobs()} - {"meanwhile"}  # its outcome is unknown
        assert known == {f"{when}-{number}" for when in ("before", "after") for number in range(10)}
        cluster.restart(leader)
        assert {one["ID"] for one in leader.request("GET", "/v1/jobs")[1]} >= known
        directory = cluster.directory
    assert not directory.exists()


def test_the_same_seed_does_the_same_in_another_process() -> None:
    code = """if True:
        from yurt.testing import Cluster
        with Cluster(servers=3, nodes=1, in_process=True, seed=11) as cluster:
            api = cluster.api()
            task = {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "9s"}}
            for number in range(5):
                api.register({"ID": f"web-{number}", "TaskGroups": [{"Name": "g", "Count": 2, "Tasks": [task]}]})
                cluster.isolate(cluster.leader())
                cluster.clock.advance(3)
                cluster.heal()
            cluster.clock.advance(30)
            allocations = api.ask("GET", "/v1/allocations")
            print(cluster.clock.now(), cluster.leader().name, sorted((one["ID"], one["ModifyIndex"]) for one in allocations))
    """
    told = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": hash_seed}
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1 and "ModifyIndex" not in told.pop()


def test_what_is_cut_off_cannot_write_and_serves_stale_reads() -> None:
    with Cluster(servers=3, in_process=True) as cluster:
        api = cluster.api(timeout=6.0)
        api.register(job())
        old = cluster.leader()
        cluster.isolate(old)
        api.register(job("elsewhere"))
        assert cluster.leader() is not old
        assert [one["ID"] for one in old.request("GET", "/v1/jobs?stale")[1]] == ["web"]
        status, text = old.request("PUT", "/v1/jobs", {"Job": job("alone")}, timeout=60)
        assert status == 500 and "leader" in str(text)
        cluster.heal()
        cluster.clock.sleep(5)
        assert len(old.request("GET", "/v1/jobs?stale")[1]) == 2
        cluster.pause(cluster.leader())
        api.register(job("paused"))
        cluster.heal()
        follower = cluster.followers()[0]
        cluster.slow(follower, 0.2)
        began = cluster.clock.now()
        follower.request("PUT", "/v1/jobs", {"Job": job("slowly")})
        assert cluster.clock.now() - began >= 0.4, "there and back"


def test_a_full_disk_refuses_and_loses_nothing() -> None:
    with Cluster(servers=1, in_process=True) as cluster:
        (server,) = cluster.servers
        assert server.request("PUT", "/v1/jobs", {"Job": job("kept")})[0] == 200
        cluster.fill_disk(server)
        statuses = [
            server.request("PUT", "/v1/jobs", {"Job": job("big", Meta={"x": "y" * 100_000})})[0] for _ in range(9)
        ]
        assert statuses[-1] == 500
        cluster.heal()
        cluster.clock.sleep(2)  # the server looks once a second
        assert server.request("PUT", "/v1/jobs", {"Job": job("again")})[0] == 200
        cluster.restart(server)
        assert {"kept", "again"} <= {one["ID"] for one in server.request("GET", "/v1/jobs")[1]}


def test_nodes_run_what_is_placed_and_a_lost_one_is_replaced() -> None:
    with Cluster(servers=3, nodes=2, in_process=True) as cluster:
        api = cluster.api()
        api.register(job("web", 4))
        cluster.clock.sleep(20)
        allocations = api.ask("GET", "/v1/job/web/allocations")
        assert [one["ClientStatus"] for one in allocations] == ["running"] * 4
        assert api.ask("GET", "/v1/job/web/deployment")["Status"] == "successful"
        cluster.kill("node1")
        cluster.clock.sleep(90)
        running = [one for one in api.ask("GET", "/v1/job/web/allocations") if one["ClientStatus"] == "running"]
        assert {one["Name"] for one in running} == {f"web.g[{number}]" for number in range(4)}
        assert {one["NodeName"] for one in running} == {"node2"}
        cluster.restart("node1")
        assert {one["Status"] for one in api.ask("GET", "/v1/nodes")} == {"ready"}


def test_periodic_jobs_are_launched_as_time_passes(yurt_cluster: Callable[..., Cluster], yurt_clock: TestClock) -> None:
    with pytest.raises(ClusterError, match="in_process=True"):
        yurt_clock.advance(1)
    cluster = yurt_cluster(servers=1, in_process=True)
    api = cluster.api()
    api.register(job("hourly", Type="batch", Periodic={"Enabled": True, "Spec": "0 * * * *", "SpecType": "cron"}))
    yurt_clock.advance(3 * 3600)
    children = [one["ID"] for one in api.jobs("?prefix=hourly/")]
    launched = [datetime.fromtimestamp(int(one.rpartition("-")[2]), UTC) for one in children]
    assert [(one.hour, one.minute) for one in launched] == [(9, 0), (10, 0), (11, 0)]


def test_a_wall_clock_that_jumps_makes_no_launch_twice() -> None:
    with Cluster(servers=1, in_process=True) as cluster:
        api, server = cluster.api(), cluster.servers[0]
        api.register(job("hourly", Type="batch", Periodic={"Enabled": True, "Spec": "0 * * * *", "SpecType": "cron"}))
        cluster.move_clock(server, 3600)
        cluster.clock.sleep(7200)
        cluster.move_clock(server, -3600)
        cluster.clock.sleep(3 * 3600)
        children = [one["ID"] for one in api.jobs("?prefix=hourly/")]
        assert len(children) == len(set(children)) and 4 <= len(children) <= 6


def test_a_watch_is_told_of_a_change_over_a_change_of_leader() -> None:
    with Cluster(servers=3, in_process=True) as cluster:
        api = cluster.api()
        api.register(job())
        cluster.clock.sleep(2)  # the job's status follows
        index = api.job("web")["ModifyIndex"]
        follower = cluster.followers()[0]
        watch = follower.begin("GET", f"/v1/job/web?index={index}&wait=60s")  # type: ignore[attr-defined]
        cluster.kill(cluster.leader())
        cluster.clock.sleep(5)
        assert not watch.is_done
        api.register(job(Priority=70))
        status, body = watch.result()
        assert status == 200 and body["Priority"] == 70


def test_its_history_can_be_judged() -> None:
    with Cluster(servers=3, in_process=True, seed=2) as cluster:
        api, events = cluster.api(timeout=6.0), []
        for number in range(30):
            if number % 10 == 5:
                cluster.kill(cluster.leader())
            if number % 10 == 9:
                cluster.restart(next(one for one in cluster.servers if not one.is_running))
            write = api.once("PUT", "/v1/jobs", {"Job": job(Meta={"value": str(number)})})
            result = "ok" if write.status == 200 else "unknown"
            events.append(Event("web", "write", write.started, write.ended, result, str(number), server=write.server))
            read = api.once("GET", "/v1/job/web")
            if read.status == 200:
                value = read.answer["Meta"]["value"]
                events.append(Event("web", "read", read.started, read.ended, "ok", value, server=read.server))
        verdict = check(events)
        assert verdict.is_linearizable and verdict.operations > 45, verdict


def test_what_it_cannot_do_it_says(tmp_path: Path) -> None:
    with Cluster(servers=1, nodes=1, in_process=True, directory=tmp_path) as cluster:
        with pytest.raises(ClusterError, match="no address"):
            _ = cluster.address
        with pytest.raises(ClusterError, match="ask a server"):
            cluster.nodes[0].request("GET", "/v1/agent/self")
        cluster.kill("server1")
        with pytest.raises(ConnectionRefusedError):
            cluster.servers[0].request("GET", "/v1/jobs")
    assert tmp_path.exists()


def test_a_leader_that_is_stopped_hands_over_first() -> None:
    with Cluster(servers=3, in_process=True) as cluster:
        leader = cluster.leader()
        began = cluster.clock.now()
        cluster.stop(leader)
        assert leader.log().endswith("has stopped") and not leader.is_running
        cluster.api().register(job())
        assert cluster.clock.now() - began < 0.5, "nobody waited for an election"
        cluster.restart(leader)
        assert leader.request("GET", "/v1/job/web")[0] == 200


def test_two_clusters_live_side_by_side() -> None:
    with Cluster(servers=3, in_process=True) as one:
        with Cluster(servers=3, in_process=True) as other:
            other.api().register(job("there"))
            other.kill(other.leader())
            one.api().register(job("here"))
        assert [found["ID"] for found in one.api().jobs()] == ["here"]
        one.kill(one.leader())
        one.api().register(job("after"))
        assert "RuntimeError" not in one.report()


def test_it_can_be_used_inside_a_running_loop() -> None:
    async def main() -> list[str]:
        with Cluster(servers=3, in_process=True) as cluster:
            cluster.api().register(job())
            found = [one["ID"] for one in cluster.api().jobs()]
        await asyncio.sleep(0)  # the loop outside is as it was
        return found

    assert asyncio.run(main()) == ["web"]


def test_a_server_whose_disk_fails_ends_and_says_so() -> None:
    import errno

    with Cluster(servers=3, in_process=True) as cluster:
        victim = cluster.followers()[0]
        disk = victim.disk  # type: ignore[attr-defined]
        disk.fail_at = {disk.calls + number: errno.EIO for number in range(1, 50)}
        api = cluster.api()
        for number in range(5):
            api.register(job(f"job-{number}"))
        assert not victim.is_running and "ends" in victim.log()
        disk.fail_at = {}
        cluster.restart(victim)
        assert len(victim.request("GET", "/v1/jobs")[1]) == 5


def test_each_server_knows_where_the_configuration_has_the_others() -> None:
    with Cluster(servers=3, in_process=True, seed=5) as cluster:
        network = cluster.leader().network  # type: ignore[attr-defined]
        hellos = [transport.own_hello() for transport in network.transports.values()]
        addresses = {hello.server_id: hello.address for hello in hellos}
        assert len(addresses) == 3
        for transport in network.transports.values():
            assert {server_id: transport.address_of(server_id) for server_id in transport.members_of()} == addresses
            assert transport.address_of("nobody") is None
