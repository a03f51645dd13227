"""Which allocations' directories are removed, and that they are (spec node-agent §18)."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest

from tests.server.client.around import surroundings
from tests.server.client.test_agent import Servers
from tests.server.client.test_runners import allocation, asynchronous, task
from tests.server.client.test_trees import deepen
from yurt.server.client.agent import NodeAgent
from yurt.server.client.collector import Limits, to_collect, usage_of

ENDED = [SimpleNamespace(ended_at=float(number)) for number in (3, 1, 2)]


@pytest.mark.parametrize(
    ("known", "usage", "wanted"),
    [
        (3, (10, 10), []), (5, (10, 10), []), (6, (10, 10), [1]), (99, (10, 10), [1, 2, 3]),
        (3, (81, 10), [1, 2]), (3, (10, 71), [1, 2]), (8, (81, 71), [1, 2, 3]),
    ],
)  # fmt: skip
def test_what_is_collected(known: int, usage: tuple[float, float], wanted: list[int]) -> None:
    assert [one.ended_at for one in to_collect(Limits(allocations=5), known, ENDED, usage)] == wanted


@asynchronous
async def test_the_oldest_that_has_ended_goes_and_what_runs_stays() -> None:
    around = surroundings(limits=Limits(allocations=1, disk_percent=100.1, inode_percent=100.1))
    agent = NodeAgent(around, Servers(), chance=random.Random(1), learn=lambda _: None, dev=True)  # type: ignore[arg-type]
    for name, seconds in (("old", "1ms"), ("new", "1ms"), ("runs", "10s")):
        agent._place(allocation(task(config={"run_for": seconds}), alloc_id=name))
        if seconds == "1ms":
            async with asyncio.timeout(5):
                await agent.runners[name].ended.wait()
    async with asyncio.timeout(5):
        while not agent.runners["runs"].directory.path.exists():
            await asyncio.sleep(0.01)
    assert all(0 <= share <= 100 for share in usage_of(around.alloc_dir))
    await agent.collect_what_is_too_much()
    there = [name for name, one in agent.runners.items() if one.directory.path.exists()]
    assert there == ["runs"] and set(agent.runners) == {"old", "new", "runs"}
    await agent.stop()


@asynchronous
async def test_an_allocation_with_a_tree_of_thousands_of_levels_goes_like_any_other() -> None:
    around = surroundings(limits=Limits(allocations=0, disk_percent=100.1, inode_percent=100.1))
    agent = NodeAgent(around, Servers(), chance=random.Random(1), learn=lambda _: None, dev=True)  # type: ignore[arg-type]
    for name in ("deep", "flat"):
        agent._place(allocation(task(config={"run_for": "1ms"}), alloc_id=name))
        async with asyncio.timeout(5):
            await agent.runners[name].ended.wait()
    deepen(agent.runners["deep"].directory.shared)
    await agent.collect_what_is_too_much()
    assert list(around.alloc_dir.iterdir()) == [] and agent.supervisor.down() == []
    await agent.stop()
