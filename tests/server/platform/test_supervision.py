"""Long-lived tasks, timers and threads: none dies unseen."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from yurt.server.platform.supervision import PAUSE_SECONDS, PAUSE_SECONDS_MAX, Failures, Supervised, Supervisor
from yurt.server.testing.agent import wait_for
from yurt.server.testing.virtual.node import VirtualNode
from yurt.server.testing.virtual.server import VirtualServer
from yurt.testing import Cluster

# Every kind of long-lived work; a new one must be listed, and is then ended below.
SERVER_TASKS = ("autopilot", "keyring")
SERVER_TIMERS = (
    "blocked evaluations", "core gc", "deployments", "drains", "heartbeats", "locks", "periodic", "scheduling",
)  # fmt: skip
NODE_TASKS = (
    "allocation end", "collector", "health", "health check", "node", "reports", "saving", "services", "task", "watch",
)  # fmt: skip
SHORT_LIVED = (
    "allocation",
    "event history",
    "removal",
    "turns",
)  # they end while others begin; each has a test of its own


class Unexpected(Exception):
    """No product code raises or catches it."""


def counting() -> tuple[Supervisor, Counter[str]]:
    failures: Counter[str] = Counter()
    return Supervisor(lambda kind, by: failures.update({kind: int(by)})), failures


def end(task: asyncio.Task[Any], error: BaseException) -> None:
    """Let the future that a task waits for break."""
    waited_for = task._fut_waiter  # type: ignore[attr-defined]
    assert waited_for is not None
    waited_for.set_exception(error)


# --- the supervisor


def test_pauses_double_up_to_a_bound_and_begin_anew_after_a_steady_time() -> None:
    failures, now, pauses = Failures(), 1000.0, []
    for _ in range(10):
        pauses.append(failures.add(now))
        now += pauses[-1] + 1.0
    assert pauses[:4] == [PAUSE_SECONDS * 2**number for number in range(4)]
    assert pauses[-1] == PAUSE_SECONDS_MAX
    assert failures.add(now + 3600.0) == PAUSE_SECONDS


def test_a_task_that_fails_is_logged_counted_down_and_starts_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        supervisor, failures = counting()
        starts, gate = [], asyncio.Event()

        async def work() -> None:
            starts.append(len(starts))
            if len(starts) < 3:
                raise Unexpected(f"number {len(starts)}")
            await gate.wait()

        supervised = supervisor.start("work", work, name="w")
        await asyncio.sleep(0)
        assert supervisor.down() == ["work w"]
        async with asyncio.timeout(5):
            while len(starts) < 3 or supervisor.down():
                await asyncio.sleep(0.01)
        assert failures == {"work": 2}
        assert not supervised.is_done
        gate.set()
        await supervised.wait()
        assert supervisor.running == []

    asyncio.run(scenario())
    told = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert [one.error for one in told] == ["Unexpected: number 1", "Unexpected: number 2"]  # type: ignore[attr-defined]
    assert all(one.exc_info for one in told)


def test_a_cancellation_of_something_awaited_is_a_failure_and_one_of_the_task_is_its_end() -> None:
    async def scenario() -> None:
        supervisor, failures = counting()
        inner: list[asyncio.Future[None]] = []

        async def work() -> None:
            inner.append(asyncio.get_running_loop().create_future())
            await inner[-1]

        supervised = supervisor.start("work", work)
        await asyncio.sleep(0)
        inner[0].cancel()
        async with asyncio.timeout(5):
            while len(inner) < 2:
                await asyncio.sleep(0.01)
        assert failures == {"work": 1}
        supervised.stop()
        await supervised.wait()
        assert supervised.is_done
        assert failures == {"work": 1}

    asyncio.run(scenario())


def test_work_that_ends_with_another_error_while_it_is_stopped_does_not_start_again() -> None:
    async def scenario() -> None:
        supervisor, failures = counting()
        starts = []

        async def work() -> None:
            starts.append(1)
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                raise Unexpected("while it ends") from None

        supervised = supervisor.start("work", work)
        await asyncio.sleep(0)
        supervised.stop()
        async with asyncio.timeout(5):
            await supervised.wait()
        assert supervised.is_done
        assert starts == [1]
        assert failures == {"work": 1}
        assert supervisor.running == []

    asyncio.run(scenario())


def test_a_short_task_that_fails_is_logged_and_counted_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        supervisor, failures = counting()

        async def work() -> None:
            raise Unexpected("short")

        await asyncio.wait([supervisor.spawn("short", work())])
        await asyncio.sleep(0)
        assert failures == {"short": 1}

    asyncio.run(scenario())
    assert "task failed" in caplog.text


def test_a_timer_whose_callback_fails_is_tried_again_unless_a_newer_one_stands_for_it() -> None:
    async def scenario() -> None:
        supervisor, failures = counting()
        calls: list[str] = []

        def fails(name: str) -> None:
            calls.append(name)
            if calls.count(name) < 2:
                raise Unexpected(name)

        supervisor.later("timer", 0.0, partial(fails, "alone"), name="a")
        async with asyncio.timeout(5):
            while calls != ["alone", "alone"]:
                await asyncio.sleep(0.01)
        supervisor.later("timer", 0.0, partial(fails, "old"), name="b")
        supervisor.later("timer", 0.3, partial(calls.append, "new"), name="b")
        async with asyncio.timeout(5):
            while "new" not in calls:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert calls == ["alone", "alone", "old", "new"]
        assert failures == {"timer": 2}
        assert supervisor.alarms == {}

    asyncio.run(scenario())


def test_nothing_is_kept_of_timers_that_were_cancelled() -> None:
    async def scenario() -> None:
        supervisor = Supervisor()
        for number in range(100):
            supervisor.later("tests", 3600, lambda: None, name=str(number)).cancel()
            supervisor.forget_timer("tests", str(number))
        supervisor.forget_timer("tests", "unknown")
        assert not supervisor.alarms

    asyncio.run(scenario())


def test_a_thread_that_fails_starts_again_and_is_down_meanwhile() -> None:
    async def scenario() -> None:
        supervisor, failures = counting()
        runs, again, gate = [], threading.Event(), threading.Event()

        def work() -> None:
            runs.append(1)
            if len(runs) == 1:
                raise Unexpected("thread")
            again.set()
            gate.wait(5)

        thread = supervisor.thread("writer", work)
        async with asyncio.timeout(5):
            while not failures["writer"]:
                await asyncio.sleep(0.005)
        assert supervisor.down() == ["writer"]
        assert again.wait(5)
        gate.set()
        thread.join(5)
        assert not thread.is_alive()
        assert supervisor.kinds == set()

    asyncio.run(scenario())


# --- every task of servers and nodes


class Life:
    """A server and a node on virtual time, where every kind of long-lived work has begun."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        server, node = cluster.servers[0], cluster.nodes[0]
        assert isinstance(server, VirtualServer)
        assert isinstance(node, VirtualNode)
        self.server, self.node = server, node

    def supervisor(self, machine: VirtualServer | VirtualNode) -> Supervisor:
        if isinstance(machine, VirtualServer):
            assert machine._parts is not None
            return machine._parts.server.supervisor
        assert machine._agent is not None
        return machine._agent.supervisor

    def down(self, machine: VirtualServer | VirtualNode) -> list[str]:
        found: list[str] = []
        machine.do(lambda: found.extend(self.supervisor(machine).down()))
        return found

    def run_jobs(self) -> None:
        """Everything that makes a kind of work begin."""
        check = {"Type": "http", "Name": "c", "Path": "/", "Interval": 10**9, "Timeout": 10**9}
        network = {"DynamicPorts": [{"Label": "http"}]}
        service = {"Name": "web", "Provider": "nomad", "PortLabel": "http", "Checks": [check]}
        task = {
            "Name": "t", "Driver": "mock_driver", "Config": {"run_for": "100h", "kill_after": "30s"},
            "Resources": {"CPU": 10, "MemoryMB": 10}, "KillTimeout": 10**10,
        }  # fmt: skip
        update = {"MaxParallel": 1, "HealthCheck": "checks", "HealthyDeadline": 10**14, "ProgressDeadline": 2 * 10**14}
        batch = {"Name": "g", "Count": 1, "Tasks": [task]}
        group = {**batch, "Update": update, "Networks": [network], "Services": [service]}
        self.ask("PUT", "/v1/jobs", {"Job": {"ID": "web", "TaskGroups": [group]}})
        self.ask("PUT", "/v1/jobs", {"Job": {"ID": "ends", "Type": "batch", "TaskGroups": [batch]}})
        periodic = {"Enabled": True, "SpecType": "cron", "Spec": "0 0 1 1 *"}
        self.ask("PUT", "/v1/jobs", {"Job": {"ID": "p", "Type": "batch", "Periodic": periodic, "TaskGroups": [batch]}})
        lock = {"TTL": "24h", "LockDelay": "1s"}
        self.ask("PUT", "/v1/var/held?lock-acquire", {"Path": "held", "Items": {"a": "b"}, "Lock": lock})
        self.ask("PUT", f"/v1/node/{self.node_id}/drain", {"DrainSpec": {"Deadline": 10**15, "IgnoreSystemJobs": True}})
        self.ask("PUT", f"/v1/node/{self.node_id}/drain", {"DrainSpec": None, "MarkEligible": True})
        wait_for(lambda: self.running("ends"), 30, "the batch job runs", self.cluster.clock)
        self.ask("DELETE", "/v1/job/ends")
        self.cluster.clock.sleep(2.0)

    @property
    def node_id(self) -> str:
        found: str = self.ask("GET", "/v1/nodes")[0]["ID"]
        return found

    def running(self, job: str) -> list[Any]:
        rows = self.ask("GET", f"/v1/job/{job}/allocations")
        return [one for one in rows if one["ClientStatus"] == "running"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.server.request(method, path, body)
        assert status == 200, (method, path, status, answer)
        return answer

    def failures(self, kind: str) -> float:
        metrics = self.server._parts.server.metrics if self.server._parts is not None else None
        assert metrics is not None
        counters = metrics._counters
        return sum(found.all_sum for (name, labels), found in counters.items() if labels == (("task", kind),))


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    config = {"client": {"gc_interval": "1h"}, "server": {"job_gc_interval": "1h"}}
    with Cluster(1, nodes=1, in_process=True, seed=7, config=config) as cluster:
        made = Life(cluster)
        made.run_jobs()
        yield made


def test_every_kind_of_long_lived_work_is_listed_here(life: Life) -> None:
    server, node = life.supervisor(life.server), life.supervisor(life.node)
    assert server.kinds - set(SHORT_LIVED) == {*SERVER_TASKS, *SERVER_TIMERS}
    assert node.kinds - set(SHORT_LIVED) == set(NODE_TASKS)


@pytest.mark.parametrize("kind", SERVER_TASKS)
def test_each_task_of_a_server_that_is_ended_comes_back(life: Life, kind: str) -> None:
    ended(life, life.server, kind)


@pytest.mark.parametrize("kind", NODE_TASKS)
def test_each_task_of_a_node_that_is_ended_comes_back(life: Life, kind: str) -> None:
    if kind in ("allocation end",):
        life.ask("PUT", "/v1/jobs", _ending_job())
        wait_for(lambda: life.running("ends-late"), 30, "it runs", life.cluster.clock)
        life.ask("DELETE", "/v1/job/ends-late")
        life.cluster.clock.sleep(1.0)
    ended(life, life.node, kind)


def _ending_job() -> dict[str, Any]:
    task = {
        "Name": "t", "Driver": "mock_driver", "Config": {"run_for": "100h", "kill_after": "60s"},
        "Resources": {"CPU": 10, "MemoryMB": 10}, "KillTimeout": 20 * 10**9,
    }  # fmt: skip
    return {"Job": {"ID": "ends-late", "Type": "batch", "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [task]}]}}


def ended(life: Life, machine: VirtualServer | VirtualNode, kind: str) -> None:
    """End the tasks of a kind by an unexpected error: they are down, counted, and come back."""
    supervisor, clock = life.supervisor(machine), life.cluster.clock

    def waiting() -> list[Supervised]:
        found = [one for one in supervisor.running if one.kind == kind]
        assert found, f"no {kind} runs"
        return [one for one in found if one.task._fut_waiter is not None]  # type: ignore[attr-defined]

    victim: Supervised = wait_for(waiting, 5, f"{kind} waits", clock)[0]
    before = life.failures(kind)
    machine.do(lambda: end(victim.task, Unexpected(kind)))
    name = f"{kind} {victim.name}".strip()
    wait_for(lambda: name in life.down(machine), 1, f"{kind} is down", clock)
    if machine is life.server:
        assert life.failures(kind) == before + 1
        status, body = machine.request("GET", "/v1/agent/health")
        assert status == 500
        assert kind in body["server"]["message"]
    wait_for(lambda: not life.down(machine), 5, f"{kind} is well", clock)
    assert not victim.is_done
    assert victim in supervisor.running
    if machine is life.server:
        assert machine.request("GET", "/v1/agent/health?type=ready")[0] == 200


@pytest.mark.parametrize("kind", SERVER_TIMERS)
def test_each_timer_of_a_server_whose_callback_fails_goes_on(life: Life, kind: str) -> None:
    wake = _wakes(life)
    supervisor, clock = life.supervisor(life.server), life.cluster.clock
    if kind in wake:
        wake[kind]()
    found = [alarm for key, alarm in supervisor.alarms.items() if key[0] == kind]
    assert found, f"no timer of {kind} stands"
    alarm, calls = found[0], []
    own = alarm.callback

    def fails_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Unexpected(kind)
        own()

    alarm.callback = fails_once
    life.server.do(alarm.ring)
    assert kind in life.down(life.server)
    wait_for(lambda: len(calls) >= 2 and not life.down(life.server), 20, f"{kind} goes on", clock)


def _wakes(life: Life) -> dict[str, Callable[[], Any]]:
    """What sets the timers that do not always stand."""
    server = life.server._parts
    assert server is not None
    return {
        "scheduling": lambda: life.server.do(server.leader._schedule),
        "drains": lambda: life.server.do(lambda: server.leader._watchers[1]._wake_in(0.2)),
        "deployments": lambda: life.server.do(server.leader._watchers[0]._set_timer),
    }
