"""A new leader takes in what waits in slices, with a clock that is turned by hand."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.platform.test_supervision import Unexpected
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import EVALUATIONS, VARIABLES
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import COMPLETE, PENDING, Evaluation
from yurt.fsm.structs.variable import Variable, VariableLock
from yurt.scheduler.duties.gc import Thresholds, collecting
from yurt.server.config.agent import AgentConfig
from yurt.server.leader.eval_reaper import open_evaluations
from yurt.server.leader.lock_expirer import VariableLocks
from yurt.server.platform.turns import SLICE_SECONDS, Turns
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics
from yurt.server.testing.agent import wait_for
from yurt.testing import Cluster

STEP_SECONDS = 0.0001
WAITING = 2000


class Clock:
    """Every look at a step costs a tenth of a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def costing(self, steps: Iterator[object]) -> Iterator[None]:
        for _ in steps:
            self.now += STEP_SECONDS
            yield


class Leading:
    """As much of a server as the passes of its duties need."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.view = self.machine.view

    def put(self, *rows: Evaluation) -> None:
        transaction = self.machine.store.begin(self.machine.index + 1)
        for row in rows:
            transaction.put(EVALUATIONS, row)
        self.machine.store.commit(transaction)


def evaluations(status: str) -> list[Evaluation]:
    return [Evaluation(id=f"e{number:05d}", job_id=f"j{number}", status=status) for number in range(WAITING)]


def longest_hold(clock: Clock, steps: Iterator[object]) -> float:
    """The longest time between two rounds in which something else of the loop ran while a pass went on."""

    async def run() -> float:
        seen = [0.0]

        def other() -> None:
            seen.append(clock.now)
            loop.call_soon(other)

        def passed() -> Iterator[None]:
            yield from clock.costing(steps)

        loop = asyncio.get_running_loop()
        loop.call_soon(other)
        await Turns(clock).run(passed())  # type: ignore[arg-type]
        return max(after - before for before, after in pairwise(seen))

    return asyncio.run(run())


def test_evaluations_that_wait_are_taken_in_while_the_loop_goes_on() -> None:
    server = Leading()
    server.put(*evaluations(PENDING))
    assert longest_hold(Clock(), open_evaluations(server, PENDING)) <= SLICE_SECONDS + 8 * STEP_SECONDS  # type: ignore[arg-type]


def test_an_evaluation_that_ended_meanwhile_is_not_taken_in_and_a_changed_one_as_it_is_now() -> None:
    server = Leading()
    rows = evaluations(PENDING)
    server.put(*rows)
    pending = open_evaluations(server, PENDING)  # type: ignore[arg-type]
    next(pending)
    ended, changed = rows[-1], rows[-2]
    server.put(replace(ended, status=COMPLETE), replace(changed, priority=90))
    found = [one for one in pending if one is not None]
    assert ended.id not in {one.id for one in found}
    assert next(one for one in found if one.id == changed.id).priority == 90


def test_a_pass_that_breaks_is_down_and_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[int] = []
    ended = asyncio.Event()

    def passing() -> Iterator[None]:
        begun.append(len(begun))
        yield
        if len(begun) < 3:
            raise Unexpected("in the middle")
        ended.set()

    async def scenario() -> None:
        server = Server(AgentConfig(), Machine(), SimpleNamespace(), SimpleNamespace(), Metrics())  # type: ignore[arg-type]
        server._has_begun = True
        server.in_turns(passing)
        async with asyncio.timeout(5):
            await ended.wait()
        assert server.supervisor.down() == ["turns"]
        await asyncio.sleep(0)
        assert server._passes == set()

    asyncio.run(scenario())
    assert begun == [0, 1, 2]
    assert caplog.text.count("Unexpected: in the middle") >= 2


@pytest.mark.parametrize(
    "duty", ["leader.Leader._take_in", "heartbeats.HeartbeatTimers._expect_all", "deployment_watcher.Rollouts._take_in"]
)
def test_a_leader_whose_taking_in_breaks_once_decides_all_the_same(monkeypatch: pytest.MonkeyPatch, duty: str) -> None:
    module, owner, name = duty.split(".")
    holder = getattr(importlib.import_module(f"yurt.server.leader.{module}"), owner)
    whole, calls = getattr(holder, name), []

    def breaks_once(*given: Any) -> Iterator[None]:
        calls.append(given)
        if len(calls) == 1:
            raise Unexpected(name)
        yield from whole(*given)

    with Cluster(1, nodes=1, in_process=True, seed=3) as cluster:
        (node,) = cluster.nodes
        node.kill()
        (server,) = cluster.servers
        monkeypatch.setattr(holder, name, breaks_once)
        server.kill()
        server.start()
        server.wait_ready()
        task = {"Name": "t", "Driver": "mock_driver", "Resources": {"CPU": 10, "MemoryMB": 10}}
        job = {"ID": "j", "Type": "batch", "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [task]}]}
        evaluation = server.request("PUT", "/v1/jobs", {"Job": job})[1]["EvalID"]

        def decided() -> bool:
            rows = server.request("GET", "/v1/nodes")[1], server.request("GET", f"/v1/evaluation/{evaluation}")[1]
            return bool(rows[0][0]["Status"] == "down" and rows[1]["Status"] == "complete")

        wait_for(decided, 600, "the node is missed and the evaluation decided", cluster.clock)
    assert len(calls) == 2


class Locking:
    """As much of a server as the locks of its variables need; passes that began are kept."""

    def __init__(self, count: int) -> None:
        self.machine = Machine()
        self.view = self.machine.view
        self.engine = SimpleNamespace(on_leadership=lambda _callback: None, is_leader_role=True)
        self.passes: list[Iterator[None]] = []
        self.timers: dict[str, float] = {}
        self.supervisor = SimpleNamespace(later=self._later, forget_timer=lambda *_timer: None)
        self.put(*(variable(number, f"l{number}") for number in range(count)))

    def _later(self, _kind: str, seconds: float, _call: object, *, name: str) -> SimpleNamespace:
        self.timers[name] = seconds
        return SimpleNamespace(cancel=lambda: self.timers.pop(name))

    def in_turns(self, begin: Callable[[], Iterator[None]]) -> None:
        self.passes.append(begin())

    def put(self, *rows: Variable) -> None:
        transaction = self.machine.store.begin(self.machine.index + 1)
        for row in rows:
            transaction.put(VARIABLES, row)
        self.machine.store.commit(transaction)


def variable(number: int, lock_id: str) -> Variable:
    lock = VariableLock(id=lock_id, ttl=10**10) if lock_id else None
    return Variable(namespace="default", path=f"v{number:04d}", lock=lock)


def test_locks_are_taken_over_one_a_step_as_they_are_then_and_not_by_a_leader_of_before() -> None:
    server = Locking(WAITING)
    locks = VariableLocks(server)  # type: ignore[arg-type]
    locks._leadership(True)
    (steps,) = server.passes
    assert server.timers == {}
    next(steps)
    assert len(server.timers) <= 1
    server.put(variable(WAITING - 1, ""), variable(WAITING - 2, "new"))
    locks.renew(variable(5, "l5"))
    assert len(list(steps)) >= WAITING - 1
    assert len(server.timers) == WAITING - 1
    assert f"default/v{WAITING - 1:04d}" not in server.timers

    locks._leadership(False)
    assert server.timers == {}
    locks._leadership(True)
    locks._leadership(False)
    assert list(server.passes[1]) == []
    assert server.timers == {}


def test_a_collection_holds_the_loop_for_a_slice_at_most() -> None:
    server = Leading()
    server.put(*evaluations(COMPLETE))
    steps = collecting(server.view(), 10**18, Thresholds(), server.view)
    assert longest_hold(Clock(), steps) <= SLICE_SECONDS + 8 * STEP_SECONDS
