"""The leader's work on evaluations: none that was taken is lost, and the columns are made while the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.platform.test_supervision import Unexpected
from yurt.fsm.machine import Machine
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, NODES
from yurt.fsm.structs.allocation import AllocatedResources, Allocation
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.node import Node
from yurt.scheduler.cluster import Cluster as Nodes
from yurt.scheduler.duties.blocked import Blocked
from yurt.server.leader import leader
from yurt.server.leader.blocked_evals import Waiting
from yurt.server.leader.columns import Columns
from yurt.server.platform.turns import STEPS_A_LOOK, STEPS_AT_ONCE, Turns
from yurt.server.testing.agent import wait_for
from yurt.testing import Cluster

JOBS = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_process=True, seed=5) as made:
        yield made


def breaking_once(whole: Callable[..., Any]) -> tuple[Callable[..., Any], list[object]]:
    """The same function, whose first call fails; and its calls."""
    calls: list[object] = []

    def call(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise Unexpected("once")
        return whole(*given, **named)

    return call, calls


def job(name: str, count: int) -> dict[str, Any]:
    task = {"Name": "t", "Driver": "mock_driver", "Resources": {"CPU": 10, "MemoryMB": 10}}
    return {"Job": {"ID": name, "Type": "batch", "TaskGroups": [{"Name": "g", "Count": count, "Tasks": [task]}]}}


def decided(cluster: Cluster, name: str, count: int = 1) -> None:
    """Register some jobs at once; wait until all their evaluations are decided by the same leader."""
    (server,) = cluster.servers
    begun = [server.begin("PUT", "/v1/jobs", job(f"{name}-{at}", count)) for at in range(JOBS)]  # type: ignore[attr-defined]
    made = [one.result(20.0)[1]["EvalID"] for one in begun]

    def all_complete() -> bool:
        return all(server.request("GET", f"/v1/evaluation/{one}")[1]["Status"] == "complete" for one in made)

    wait_for(all_complete, 30, "all evaluations are complete", cluster.clock)


BREAKS = [(leader, "placements_of"), (leader, "timed"), (leader.Leader, "_spawn"), (leader.Leader, "_acked")]


@pytest.mark.parametrize(("owner", "name"), BREAKS, ids=lambda one: getattr(one, "__name__", one))
def test_no_evaluation_is_lost_when_the_work_on_one_breaks(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    broken, calls = breaking_once(getattr(owner, name))
    monkeypatch.setattr(owner, name, broken)
    decided(cluster, name)
    assert len(calls) > 1


@pytest.mark.parametrize("name", ["begin", "_decisions"])
def test_no_large_evaluation_is_lost_when_its_child_breaks(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    broken, calls = breaking_once(getattr(leader.HeavyEvaluations, name))
    monkeypatch.setattr(leader.HeavyEvaluations, name, broken)
    decided(cluster, f"large-{name}", leader.PLACEMENTS_AT_ONCE + 1)
    assert len(calls) > 1


# --- columns


class Leading:
    """As much of a server as columns need; its turns run a bounded number of steps each."""

    def __init__(self, nodes: int) -> None:
        self.machine = Machine()
        self.view = self.machine.view
        self.turns = Turns(iter(range(10**9)).__next__)  # each look at the clock ends a slice
        self.passes: list[asyncio.Task[None]] = []
        self.made: list[int] = []
        self.columns = Columns(self, lambda: self.made.append(self.machine.index))  # type: ignore[arg-type]
        self.machine.on_commit(self.columns.committed)
        self.put(*(Node(id=f"n{number:04d}", status="ready", computed_class="c") for number in range(nodes)))

    def in_turns(self, begin: Callable[[], Iterator[None]]) -> None:
        self.passes.append(asyncio.ensure_future(self.turns.run(begin())))  # type: ignore[arg-type]

    def put(self, *rows: Node | Allocation) -> None:
        transaction = self.machine.store.begin(self.machine.index + 1)
        for row in rows:
            transaction.put(NODES if isinstance(row, Node) else ALLOCATIONS, row)  # type: ignore[arg-type]
        changes = self.machine.store.commit(transaction)
        self.columns.committed(self.view().index, changes)


def allocation(name: str, node: str) -> Allocation:
    return Allocation(id=name, node_id=node, client_status="pending", allocated_resources=AllocatedResources())


def test_few_columns_are_there_at_once_and_many_while_the_loop_goes_on() -> None:
    async def scenario() -> None:
        few, many = Leading(STEPS_A_LOOK - 1), Leading(3 * STEPS_AT_ONCE)
        assert few.columns.current() is not None
        assert few.passes == few.made == []
        assert many.columns.current() is None
        assert many.columns.current() is None, "they are made once"
        rounds = 0
        while not many.passes[0].done():
            rounds += 1
            await asyncio.sleep(0)
        assert rounds >= 2 * STEPS_AT_ONCE // STEPS_A_LOOK
        assert len(many.passes) == len(many.made) == 1
        made = many.columns.current()
        assert made is not None
        assert len(made) == 3 * STEPS_AT_ONCE

    asyncio.run(scenario())


def test_commits_of_meanwhile_are_in_the_columns_and_forgotten_ones_are_not_made() -> None:
    async def scenario() -> None:
        server = Leading(2 * STEPS_AT_ONCE)
        assert server.columns.current() is None
        server.put(Node(id="late", status="ready", computed_class="c"))
        await server.passes[0]
        made = server.columns.current()
        assert made is not None
        assert "late" in made.rows
        server.columns.doubt()
        assert server.columns.current() is None
        server.columns.forget()
        await server.passes[1]
        assert server.columns.known is None

    asyncio.run(scenario())


def test_columns_in_doubt_serve_until_new_ones_have_their_reservations() -> None:
    async def scenario() -> None:
        server = Leading(2 * STEPS_AT_ONCE)
        server.columns.current()
        await server.passes[0]
        old = server.columns.known
        assert old is not None
        server.columns.reserve([allocation("before", "n0001")])
        server.columns.doubt()
        assert server.columns.current() is None
        assert server.columns.known is old
        server.columns.reserve([allocation("meanwhile", "n0001"), allocation("committed", "n0001")])
        server.put(allocation("committed", "n0001"))
        await server.passes[1]
        new = server.columns.current()
        assert new is not None
        assert new is not old
        assert {one.id for one in new.reserved_on("n0001")} == {"before", "meanwhile"}

    asyncio.run(scenario())


def test_columns_whose_making_breaks_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        server = Leading(2 * STEPS_AT_ONCE)
        whole = Nodes._put_node
        put: list[Node] = []

        def breaks(self: Nodes, node: Node) -> None:
            put.append(node)
            if len(put) == STEPS_AT_ONCE + 1:
                raise Unexpected(node.id)
            whole(self, node)

        monkeypatch.setattr(Nodes, "_put_node", breaks)
        assert server.columns.current() is None
        with pytest.raises(Unexpected):
            await server.passes[0]
        assert server.columns.current() is None
        await server.passes[1]
        assert server.columns.current() is not None

    asyncio.run(scenario())


# --- blocked evaluations


def test_evaluations_that_wait_for_room_are_woken_while_the_loop_goes_on() -> None:
    async def scenario() -> None:
        server = Leading(1)
        server.metrics = SimpleNamespace(gauge=lambda *_given: None)  # type: ignore[attr-defined]
        server.supervisor = SimpleNamespace(later=lambda *_given, **_named: None)  # type: ignore[attr-defined]
        woken: list[str] = []
        waiting = Waiting(server, lambda evaluation: woken.append(evaluation.id), lambda _needless: None)  # type: ignore[arg-type]
        waiting._blocked = Blocked()
        for number in range(3 * STEPS_AT_ONCE):
            waiting.block(Evaluation(id=f"e{number}", job_id=f"j{number}", status="blocked", snapshot_index=1))
        rows = [Node(id=f"new{number}", status="ready", computed_class="c") for number in range(50)]
        waiting.committed(100, [Change(NODES, row.id, None, row) for row in rows])
        assert len(woken) < STEPS_AT_ONCE
        waiting.committed(101, [Change(NODES, rows[0].id, None, rows[0])])
        assert len(server.passes) == 1
        rounds = 0
        while not server.passes[0].done():
            rounds += 1
            await asyncio.sleep(0)
        assert rounds >= 2 * STEPS_AT_ONCE // STEPS_A_LOOK
        assert len(woken) == len(set(woken)) == 3 * STEPS_AT_ONCE

    asyncio.run(scenario())
