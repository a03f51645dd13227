"""The node agent against pretended servers: registration, heartbeats, watching, reporting (spec node-agent §1, §3, §4)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.server.client.around import surroundings
from tests.server.client.test_runners import allocation, asynchronous, task
from yurt.fsm.commands_nodes import AllocUpdate
from yurt.fsm.errors import YurtError
from yurt.fsm.structs.allocation import Allocation, TaskState
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.node import Node
from yurt.server.client.agent import NodeAgent
from yurt.server.client.servers import Beat, Refused


class Servers:
    """Pretended servers: what they know, and what they were told."""

    def __init__(self) -> None:
        self.allocations: dict[str, Allocation] = {}
        self.told: list[AllocUpdate] = []
        self.registered = self.beats = 0
        self.refuse_reports = False
        self.changed = asyncio.Event()

    def put(self, row: Allocation, index: int) -> None:
        self.allocations[row.id] = replace(row, alloc_modify_index=index)
        self.changed.set()

    async def register(self, node: Node) -> Beat:
        self.registered += 1
        if self.registered == 1:
            raise YurtError("no leader yet")
        return Beat(0.01, ["10.0.0.1:4646"])

    async def heartbeat(self) -> Beat:
        self.beats += 1
        if self.beats == 2:
            raise Refused(500, "node not found")
        return Beat(0.01, [])

    async def client_allocs(self, index: int, _count: int) -> tuple[dict[str, int], int]:
        if index:
            await self.changed.wait()
        self.changed.clear()
        return {one.id: one.alloc_modify_index for one in self.allocations.values()}, index + 1

    async def get_allocs(self, alloc_ids: list[str]) -> list[Allocation]:
        return [self.allocations[one] for one in alloc_ids]

    async def update_allocs(self, updates: list[AllocUpdate]) -> None:
        if self.refuse_reports:
            raise YurtError("not now")
        self.told += updates

    async def hear(self, alloc_id: str, status: str) -> AllocUpdate:
        async with asyncio.timeout(5):
            while not (found := [one for one in self.told if one.id == alloc_id and one.client_status == status]):
                await asyncio.sleep(0.005)
        return found[-1]


def start(servers: Any, learn: Any = None) -> NodeAgent:
    learn = learn or (lambda _addresses: None)
    agent = NodeAgent(surroundings(), servers, chance=random.Random(1), learn=learn, dev=True)
    agent.start()
    return agent


@asynchronous
async def test_an_allocation_from_its_arrival_to_its_end() -> None:
    servers = Servers()
    learned: list[list[str]] = []
    servers.put(allocation(task()), 5)
    agent = start(servers, learned.append)
    said = await servers.hear("a", "running")
    assert [event.type for event in (said.task_states or {})["t"].events or ()] == ["Received", "Task Setup", "Started"]
    servers.put(replace(servers.allocations["a"], desired_status="stop"), 6)
    await servers.hear("a", "complete")
    async with asyncio.timeout(5):
        while servers.registered < 3:  # a failed try, one that was taken, and one after `node not found`
            await asyncio.sleep(0.005)
    assert ["10.0.0.1:4646"] in learned
    await agent.stop()


@asynchronous
async def test_what_the_servers_forgot_ends_and_is_not_spoken_of() -> None:
    servers = Servers()
    servers.put(allocation(task()), 5)
    agent = start(servers)
    await servers.hear("a", "running")
    runner = agent.runners["a"]
    servers.allocations.clear()
    servers.changed.set()
    async with asyncio.timeout(5):
        await runner.ended.wait()
    assert agent.runners == {} and not [one for one in servers.told if one.client_status == "complete"]
    await agent.stop()


@asynchronous
async def test_what_ended_before_is_left_alone_and_what_should_have_is_said_to_have() -> None:
    servers = Servers()
    row = allocation(task())
    servers.put(replace(row, id="done", client_status="complete"), 5)
    states = {"t": TaskState(state="running")}
    servers.put(replace(row, id="lost", desired_status="stop", client_status="lost", task_states=states), 5)
    agent = start(servers)
    said = await servers.hear("lost", "complete")
    assert (said.task_states or {})["t"].state == "dead"
    assert agent.runners == {} and "done" not in {one.id for one in servers.told}
    await agent.stop()


@asynchronous
async def test_reports_that_were_not_taken_are_sent_again() -> None:
    from yurt.server.client import reports

    servers = Servers()
    servers.refuse_reports = True
    servers.put(allocation(task()), 5)
    reports.RETRY_SECONDS, before = 0.02, reports.RETRY_SECONDS
    try:
        agent = start(servers)
        await asyncio.sleep(0.1)
        servers.refuse_reports = False
        await servers.hear("a", "running")
        count = len(servers.told)
        await asyncio.sleep(0.3)
        assert len(servers.told) <= count + 1  # nothing is said twice
        await agent.stop()
    finally:
        reports.RETRY_SECONDS = before
