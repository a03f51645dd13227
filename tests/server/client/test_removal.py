"""What is left of an allocation that the servers have forgotten: nothing, and the cycle collector is not needed for it."""

from __future__ import annotations

import asyncio
import gc
import weakref

from tests.server.client.test_agent import Servers, start
from tests.server.client.test_runners import allocation, asynchronous, task
from yurt.fsm.commands_nodes import AllocUpdate
from yurt.fsm.structs.base import replace
from yurt.server.client.reports import Reports
from yurt.server.testing.agent import wait_for
from yurt.server.testing.virtual.node import VirtualNode
from yurt.testing import Cluster


@asynchronous
async def test_a_removed_allocation_leaves_nothing_and_needs_no_collector() -> None:
    servers = Servers()
    servers.put(allocation(task()), 5)
    agent = start(servers)
    await servers.hear("a", "running")
    servers.put(replace(servers.allocations["a"], desired_status="stop"), 6)
    await servers.hear("a", "complete")
    gc.collect()
    gc.disable()
    try:
        runner = weakref.ref(agent.runners["a"])
        task_runner = weakref.ref(agent.runners["a"].runners["t"])
        servers.allocations.clear()
        servers.changed.set()
        async with asyncio.timeout(5):
            while runner() is not None or task_runner() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
    reports = agent._reports
    assert not reports._told
    assert not reports._pending
    assert not reports._fresh
    await agent.stop()


def test_a_node_learns_at_once_that_its_allocations_were_removed() -> None:
    spec = {"Name": "t", "Driver": "mock_driver", "Config": {"run_for": "1s"}, "Resources": {"CPU": 1, "MemoryMB": 10}}
    job = {"ID": "short", "Type": "batch", "TaskGroups": [{"Name": "g", "Count": 1, "Tasks": [spec]}]}
    with Cluster(1, nodes=1, in_process=True, seed=3) as cluster:
        server, node = cluster.servers[0], cluster.nodes[0]
        assert isinstance(node, VirtualNode)
        assert node._agent is not None
        agent = node._agent
        assert server.request("PUT", "/v1/jobs", {"Job": job})[0] == 200
        ended = lambda: [one for one in agent.runners.values() if one.ended.is_set()]  # noqa: E731
        wait_for(ended, 30, "the allocation has ended", cluster.clock)
        cluster.clock.sleep(3.0)  # until the servers know
        assert server.request("DELETE", "/v1/job/short?purge=true")[0] == 200
        cluster.clock.sleep(1.0)
        assert server.request("PUT", "/v1/system/gc")[0] == 200
        wait_for(lambda: not agent.runners, 5, "the node has forgotten the allocation", cluster.clock)


@asynchronous
async def test_an_update_of_an_allocation_that_is_forgotten_while_it_is_sent_is_not_remembered() -> None:
    sent, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Servers):
        async def update_allocs(self, updates: list[AllocUpdate]) -> None:
            sent.set()
            await go_on.wait()

    reports = Reports(Slow())  # type: ignore[arg-type]
    reports.begin()
    reports.add("a", lambda: AllocUpdate(id="a", node_id="n", client_status="running"))
    running = asyncio.ensure_future(reports.run())
    async with asyncio.timeout(5):
        await sent.wait()
    reports.forget("a")
    go_on.set()
    await asyncio.sleep(0.02)
    assert reports._told == {}
    running.cancel()
