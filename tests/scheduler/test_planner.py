"""Plans looked at once more (spec scheduling §6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.apply.world import World
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.structs.allocation import (
    AllocatedCpu,
    AllocatedMemory,
    AllocatedPort,
    AllocatedResources,
    AllocatedShared,
    AllocatedTask,
    Allocation,
)
from yurt.fsm.structs.evaluation import AllocMetric, Evaluation
from yurt.fsm.structs.node import NodeCpu, NodeDisk, NodeMemory, NodeResources
from yurt.fsm.structs.plan import AllocationStop, Placement
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.duties.planner import checked, timed
from yurt.scheduler.outcome import Outcome

RESOURCES = NodeResources(cpu=NodeCpu(cpu_shares=1000), memory=NodeMemory(memory_mb=1000), disk=NodeDisk(disk_mb=1000))


@pytest.fixture
def world() -> World:
    made = World()
    made.node("n1", node_resources=RESOURCES)
    made.node("n2", node_resources=RESOURCES)
    made.job()
    return made


def placement(
    alloc_id: str, node_id: str = "n1", *, cpu: int = 100, port: int = 0, cores: tuple[int, ...] = ()
) -> Placement:
    task = AllocatedTask(
        cpu=AllocatedCpu(cpu_shares=cpu, reserved_cores=cores or None), memory=AllocatedMemory(memory_mb=10)
    )
    ports = (AllocatedPort(label="p", value=port, host_ip="10.0.0.1"),) if port else None
    resources = AllocatedResources(tasks={"t": task}, shared=AllocatedShared(ports=ports))
    row = Allocation(
        id=alloc_id, namespace="default", job_id="web", task_group="g", node_id=node_id, desired_status="run",
        client_status="pending", allocated_resources=resources,
    )  # fmt: skip
    return Placement(allocation=row, job_version=0)


def plan(*placed: Placement, **fields: Any) -> c.ApplyPlan:
    ended = Evaluation(id="e", namespace="default", job_id="web", status="complete")
    kept = Evaluation(id="f", namespace="default", job_id="web", status="pending")
    return c.ApplyPlan(eval_id="e", placed=placed, evaluations=(ended, kept), **fields)


def look(world: World, command: c.ApplyPlan, *, others: tuple[Placement, ...] = ()) -> c.ApplyPlan:
    view = world.machine.view()
    cluster = Cluster.of(view)
    cluster.reserve([one.allocation for one in (*others, *command.placed)])
    return checked(command, view, cluster)


def names(command: c.ApplyPlan) -> list[str]:
    return [one.allocation.id for one in command.placed]


def test_a_plan_that_fits_is_left_as_it_is(world: World) -> None:
    command = plan(placement("a", cpu=500), placement("b", cpu=500, port=80), placement("c", "n2", port=80))
    assert look(world, command) is command


def test_only_the_node_without_room_drops_out(world: World) -> None:
    found = look(world, plan(placement("a", cpu=600), placement("b", "n2")), others=(placement("x", cpu=600),))
    assert names(found) == ["b"]
    assert [one.id for one in found.evaluations] == ["f"]  # the plan's own goes round again


def test_what_the_plan_stops_makes_room(world: World) -> None:
    world.do(plan(placement("old", cpu=900)))
    stop = AllocationStop(id="old")
    command = plan(placement("new", cpu=900), stopped=(stop,))
    assert look(world, command) is command
    too_much = look(world, plan(placement("new", cpu=900)))
    assert names(too_much) == []


@pytest.mark.parametrize("trouble", ["down", "ineligible", "gone"])
def test_a_node_that_takes_nothing_drops_out(world: World, trouble: str) -> None:
    if trouble == "down":
        world.status("down")
    elif trouble == "ineligible":
        world.do(n.SetNodeEligibility(node_id="n1", eligibility="ineligible"))
    else:
        world.do(n.PurgeNode(node_id="n1"))
    assert names(look(world, plan(placement("a"), placement("b", "n2")))) == ["b"]


@pytest.mark.parametrize("thing", [{"port": 8080}, {"cores": (1,)}])
def test_nobody_gets_what_another_has(world: World, thing: dict[str, Any]) -> None:
    world.do(plan(placement("there", **thing)))
    assert names(look(world, plan(placement("a", **thing)))) == []
    assert names(look(world, plan(placement("a", "n2", **thing)), others=(placement("b", "n2", **thing),))) == []


def test_all_at_once_is_all_or_nothing(world: World) -> None:
    world.job(all_at_once=True)
    world.status("down")
    found = look(world, plan(placement("a"), placement("b", "n2"), stopped=(AllocationStop(id="x"),)))
    assert (names(found), found.stopped) == ([], ())


def test_the_time_of_a_search_is_noted_where_it_failed() -> None:
    failed = Evaluation(id="e", failed_tg_allocs={"g": AllocMetric()})
    outcome = Outcome(failed, created=[failed, Evaluation(id="f")])
    timed(outcome, 7)
    assert [one.failed_tg_allocs and one.failed_tg_allocs["g"].allocation_time for one in (outcome.evaluation, *outcome.created)] == [7, 7, None]  # fmt: skip
