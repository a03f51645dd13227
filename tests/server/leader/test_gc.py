"""Collections that are asked for: each caller waits for a pass that sees what was written before it asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.platform.test_supervision import Unexpected
from yurt.fsm.commands import Command, encode
from yurt.fsm.errors import Refusal
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import EVALUATIONS
from yurt.fsm.structs.evaluation import COMPLETE, Evaluation
from yurt.server.config.agent import AgentConfig
from yurt.server.leader.gc import Garbage
from yurt.server.raft.errors import NotLeader
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics


class Leading(Server):
    """A leader whose commands are applied when `gate` is open, or broken by `error`."""

    is_ready = True

    def __init__(self) -> None:
        engine = SimpleNamespace(own=SimpleNamespace(id="a"), configuration=[])
        super().__init__(AgentConfig(), Machine(), engine, SimpleNamespace(hellos={}), Metrics())  # type: ignore[arg-type]
        self.gate = asyncio.Event()
        self.gate.set()
        self.proposing = asyncio.Event()
        self.error: Exception | None = None
        self.proposals = 0
        self.garbage = Garbage(self)

    async def propose(self, command: Command) -> Any:
        self.proposals += 1
        self.proposing.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        assert isinstance(self.machine.apply(encode(command)), Applied)

    def end_one(self, name: str) -> None:
        transaction = self.machine.store.begin(self.machine.index + 1)
        transaction.put(EVALUATIONS, Evaluation(id=name, job_id="j", type="service", status=COMPLETE))
        self.machine.store.commit(transaction)

    @property
    def left(self) -> int:
        return self.view().count(EVALUATIONS)


def running(scenario: Callable[[Leading], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10):
            await scenario(Leading())

    asyncio.run(run())


def test_what_ended_while_a_pass_ran_is_gone_when_its_caller_is_answered() -> None:
    async def scenario(server: Leading) -> None:
        server.end_one("first")
        server.gate.clear()
        first = asyncio.ensure_future(server.force_collection())
        await server.proposing.wait()
        server.end_one("second")
        others = [asyncio.ensure_future(server.force_collection()) for _ in range(3)]
        await asyncio.sleep(0)
        server.gate.set()
        await first
        await asyncio.gather(*others)
        assert server.left == 0
        assert server.proposals == 2, "the callers of one moment share a pass"

    running(scenario)


def test_a_collection_that_is_cancelled_or_refused_is_no_success() -> None:
    async def scenario(server: Leading) -> None:
        server.end_one("first")
        server.gate.clear()
        callers = [asyncio.ensure_future(server.force_collection())]
        await server.proposing.wait()
        callers.append(asyncio.ensure_future(server.force_collection()))
        await asyncio.sleep(0)
        server.garbage.stop()
        for caller in callers:
            with pytest.raises(NotLeader):
                await caller
        server.gate.set()
        callers = [asyncio.ensure_future(server.force_collection())]
        await asyncio.sleep(0)
        server.garbage.stop()
        with pytest.raises(NotLeader):
            await callers[0]
        for error in (Refusal(500, "no"), Unexpected("broken")):
            server.error = error
            with pytest.raises(type(error)):
                await server.force_collection()
        server.error = None
        await server.force_collection()
        assert server.left == 0

    running(scenario)


def test_a_collection_of_a_server_that_leads_no_more_is_no_success() -> None:
    async def scenario(server: Leading) -> None:
        server.end_one("first")
        server.is_ready = False  # type: ignore[misc]
        with pytest.raises(NotLeader):
            await server.force_collection()

    running(scenario)


def test_who_asks_while_a_pass_is_being_cancelled_is_answered() -> None:
    async def scenario(server: Leading) -> None:
        server.end_one("old")
        server.gate.clear()
        first = asyncio.ensure_future(server.garbage.force())
        await server.proposing.wait()
        now = asyncio.Event()

        async def late() -> None:
            await now.wait()
            await server.garbage.force()

        second = asyncio.ensure_future(late())
        await asyncio.sleep(0)
        now.set()
        server.garbage.stop()
        for asked in (first, second):
            with pytest.raises(NotLeader):
                await asked

    running(scenario)


def test_the_rows_of_the_state_that_a_pass_looked_at_are_freed_in_turns() -> None:
    async def scenario(server: Leading) -> None:
        for number in range(2000):
            server.end_one(f"evaluation {number:04d}")
        begun: list[list[int]] = []

        def in_turns(begin: Callable[[], Any]) -> None:
            steps = begin()
            begun.append([0])
            for _ in steps:
                begun[-1][0] += 1

        server.in_turns = in_turns  # type: ignore[method-assign]
        await server.garbage.force()
        assert server.left == 0
        assert len(begun) == 1 and begun[0][0] >= 2, "2,000 rows and their places in the indexes"

    running(scenario)
