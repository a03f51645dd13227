"""Queries that run as passes: nothing is missed, no room is lost, and who waits for room hears of it in time."""

from __future__ import annotations

import asyncio
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import JOBS
from yurt.fsm.store.view import View
from yurt.fsm.structs.job import Job
from yurt.server.config.agent import AgentConfig
from yurt.server.http.context import Context, ReadOptions
from yurt.server.http.found import Found
from yurt.server.http.reads import Reads
from yurt.server.metrics import Metrics
from yurt.server.server import Server
from yurt.server.turns import STEPS_AT_ONCE, Steps, Turns

STEPS = 4 * STEPS_AT_ONCE


def write(server: Server, name: str) -> None:
    """Commit a job."""
    store = server.machine.store
    transaction = store.begin(store.index + 1)
    transaction.put(JOBS, Job(id=name, namespace="default"))
    store.commit(transaction)


@pytest.fixture
def server() -> Server:
    engine: Any = SimpleNamespace(own=SimpleNamespace(id="a"), configuration=[], is_ready=True, applied_index=1)
    transport: Any = SimpleNamespace(hellos={})
    server = Server(AgentConfig(), Machine(), engine, transport, Metrics())
    milliseconds = count()
    server.turns = Turns(lambda: next(milliseconds) / 1000)
    write(server, "first")
    return server


def asked(server: Server, query: str = "", address: str = "") -> Context:
    return Context(server, "GET", "/v1/jobs", query.encode(), {}, b"", address=address)


def reads() -> Reads:
    return Reads(waiters_max=9, jitter=lambda: 0.0)


async def rounds(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def jobs_by_steps(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """How many jobs there are, in a pass of many rounds."""
    for _ in range(STEPS):
        yield
    return Found(b"%d" % view.count(JOBS), view.table_index(JOBS), ((JOBS, None),))


@pytest.mark.parametrize("asks", [1, 3], ids=["alone", "shared"])
def test_a_change_during_the_pass_of_a_blocking_query_is_not_missed(server: Server, asks: int) -> None:
    async def main() -> None:
        found = reads()
        context = asked(server, f"index={server.machine.index}&wait=60s")
        tasks = [asyncio.ensure_future(found.answer(context, jobs_by_steps)) for _ in range(asks)]
        await rounds(5)
        write(server, "second")
        async with asyncio.timeout(10):
            assert {answer.body for answer in await asyncio.gather(*tasks)} == {b"2"}

    asyncio.run(main())


def test_a_change_of_something_else_during_the_pass_costs_no_second_one(server: Server) -> None:
    passes: list[int] = []

    def query(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
        passes.append(view.index)
        return (yield from jobs_by_steps(view, context, options))

    async def main() -> None:
        found = reads()
        task = asyncio.ensure_future(found.answer(asked(server, f"index={server.machine.index}&wait=60s"), query))
        await rounds(5)
        server.machine.store.skip(server.machine.index + 1)
        while not len(server.machine.store.watches):
            await asyncio.sleep(0)
        assert not task.done() and len(passes) == 1
        write(server, "second")
        async with asyncio.timeout(10):
            assert (await task).body == b"2"

    asyncio.run(main())
