"""The drain watcher looks at many rows while the loop goes on, and at what changes meanwhile afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.platform.test_supervision import Unexpected
from yurt.fsm.commands_nodes import CompleteDrains, TransitionAllocations
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import ALLOCATIONS, JOBS, NODES
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import DrainStrategy, Node
from yurt.server.leader.node_drainer import DrainWatcher
from yurt.server.platform.turns import STEPS_AT_ONCE, Turns


class Leading:
    """As much of a server as its drains need: time does not pass, alarms ring when they are told to."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.view = self.machine.view
        self.engine = SimpleNamespace(on_leadership=lambda _callback: None)
        self.turns = Turns(lambda: 0.0)
        self.supervisor = SimpleNamespace(later=self._later, spawn=self._spawn)
        self.alarms = 0
        self.passes: list[Callable[[], Iterator[None]]] = []
        self.proposed: list[object] = []

    def _later(self, _kind: str, _seconds: float, _call: Callable[[], None]) -> asyncio.TimerHandle:
        self.alarms += 1
        return asyncio.get_running_loop().call_later(1000, _call)

    def _spawn(self, _kind: str, work: Any) -> asyncio.Task[None]:
        return asyncio.ensure_future(work)

    def in_turns(self, begin: Callable[[], Iterator[None]]) -> None:
        self.passes.append(begin)

    def now_ns(self) -> int:
        return 1

    def new_id(self) -> str:
        return "id"

    async def propose(self, command: object) -> None:
        self.proposed.append(command)

    def put(self, table: Any, *rows: Any) -> None:
        transaction = self.machine.store.begin(self.machine.index + 1)
        for row in rows:
            transaction.put(table, row)
        self.machine.store.commit(transaction)


def draining(allocations: int) -> Leading:
    server = Leading()
    server.put(NODES, Node(id="n", drain_strategy=DrainStrategy(deadline=-1)))
    server.put(JOBS, job := Job(id="j", namespace="default", type="service"))
    rows = (
        Allocation(id=f"a{number:04d}", namespace="default", job_id="j", job=job, node_id="n", desired_status="run")
        for number in range(allocations)
    )
    server.put(ALLOCATIONS, *rows)
    return server


def leading(server: Leading) -> DrainWatcher:
    watcher = DrainWatcher(server)  # type: ignore[arg-type]
    watcher._leadership(True)
    watcher._look()
    return watcher


def test_a_node_with_many_allocations_is_looked_at_in_turns_and_marked_once() -> None:
    async def scenario() -> None:
        server = draining(2 * STEPS_AT_ONCE)
        watcher = leading(server)
        assert server.proposed == []
        watcher._look()
        assert len(server.passes) == 1, "one look at a time"
        assert len(list(server.passes[0]())) >= STEPS_AT_ONCE
        await asyncio.sleep(0)
        (command,) = server.proposed
        assert isinstance(command, TransitionAllocations)
        assert len(command.transitions) == 2 * STEPS_AT_ONCE
        await asyncio.sleep(0)
        assert watcher._timer is not None

    asyncio.run(scenario())


def test_a_small_drain_is_decided_at_once_and_a_look_of_a_former_term_decides_nothing() -> None:
    async def scenario() -> None:
        server = draining(0)
        leading(server)
        await asyncio.sleep(0)
        assert [type(one) for one in server.proposed] == [CompleteDrains]
        server = draining(2 * STEPS_AT_ONCE)
        watcher = leading(server)
        watcher._leadership(False)
        watcher._leadership(True)
        assert list(server.passes[0]())
        await asyncio.sleep(0)
        assert server.proposed == []

    asyncio.run(scenario())


def test_what_changes_during_a_look_or_a_look_that_breaks_is_followed_by_another() -> None:
    async def scenario() -> None:
        for breaks in (False, True):
            server = draining(2 * STEPS_AT_ONCE)
            server.put(NODES, Node(id="n", drain_strategy=DrainStrategy()))  # without health nobody leaves
            watcher = leading(server)
            alarms = server.alarms
            if breaks:
                broken: Any = server.passes[0]()
                next(broken)
                with pytest.raises(Unexpected):
                    broken.throw(Unexpected("in the middle"))
            else:
                watcher._look()
            list(server.passes[0]())
            assert watcher._timer is not None
            assert server.alarms == alarms + 1
            assert server.proposed == []

    asyncio.run(scenario())
