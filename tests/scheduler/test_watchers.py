"""The deployment watcher and the drainer: what they make of a state (spec scheduling §8.5, §18)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fsm.apply.world import SECOND, World
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.structs.allocation import AllocDeploymentStatus, DesiredTransition
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.node import DrainStrategy
from yurt.fsm.structs.policies import MigrateStrategy, ReschedulePolicy
from yurt.fsm.structs.times import to_rfc3339
from yurt.scheduler.duties.deployments import Verdict, assess
from yurt.scheduler.duties.drainer import Drains
from yurt.scheduler.duties.drainer import assess as assess_drains

HOUR = 3600 * SECOND


@pytest.fixture
def world() -> World:
    made = World()
    made.node()
    made.job(group=TaskGroup(name="g", count=2, reschedule_policy=ReschedulePolicy(unlimited=True)))
    return made


def verdict(world: World, later: int = 0) -> Verdict:
    return assess(world.machine.view(), world.deployment(), world.now + later)


def placed(world: World, alloc_id: str, healthy: bool | None, **fields: Any) -> None:
    canary = bool(fields.pop("canary", False))
    world.place(alloc_id, deployment_id="d", deployment_status=AllocDeploymentStatus(canary=canary), **fields)
    if healthy is not None:
        status = AllocDeploymentStatus(healthy=healthy, timestamp=to_rfc3339(world.now))
        world.report(alloc_id, "running", deployment_status=status)


def test_a_healthy_allocation_is_evaluated_once(world: World) -> None:
    world.deploy(desired_total=2, progress_deadline=HOUR)
    placed(world, "a1", None)
    assert not verdict(world).evaluate
    placed(world, "a2", True)
    assert verdict(world).evaluate and verdict(world).deadline_ns > world.now
    world.do(c.EvaluateJob(namespace="default", job_id="web", eval_id="e1"))
    assert not verdict(world).evaluate


def test_an_unhealthy_one_is_replaced_while_it_may_be(world: World) -> None:
    world.deploy(desired_total=1, progress_deadline=HOUR)
    placed(world, "a1", False)
    found = verdict(world)
    assert (found.reschedule, found.evaluate, found.failure) == (("a1",), True, "")
    world.do(n.TransitionAllocations(transitions={"a1": DesiredTransition(reschedule=True)}))
    assert verdict(world).reschedule == ()


def test_without_a_deadline_an_unhealthy_one_fails_it(world: World) -> None:
    world.deploy(desired_total=1, auto_revert=True)
    placed(world, "a1", False)
    assert verdict(world) == Verdict(failure="Failed due to unhealthy allocations", revert=True)


def test_a_deployment_that_makes_no_progress_fails(world: World) -> None:
    world.deploy(desired_total=2, progress_deadline=HOUR)
    placed(world, "a1", True)
    due = verdict(world).deadline_ns
    assert verdict(world, due - world.now - 1).failure == ""
    assert verdict(world, due - world.now).failure == "Failed due to progress deadline"
    world.do(n.PauseDeployment(deployment_id="d", pause=True))
    assert verdict(world, 10 * HOUR) == Verdict(evaluate=verdict(world).evaluate)


def test_a_deployment_without_placements_never_fails(world: World) -> None:
    world.deploy(desired_total=2, progress_deadline=HOUR)
    assert verdict(world, 100 * HOUR) == Verdict()


@pytest.mark.parametrize(
    ("auto", "healthy", "promotes"), [(True, True, True), (False, True, False), (True, None, False)]
)
def test_healthy_canaries_are_promoted_once(world: World, auto: bool, healthy: bool | None, promotes: bool) -> None:
    world.deploy(desired_total=2, desired_canaries=1, auto_promote=auto, progress_deadline=HOUR)
    placed(world, "a1", healthy, canary=True)
    assert verdict(world).promote is promotes
    if healthy:
        assert verdict(world, 100 * HOUR).failure == ""  # it waits for somebody
    if promotes:
        world.do(n.PromoteDeployment(deployment_id="d", all=True, eval_id="e"))
        assert not verdict(world).promote


def test_another_version_and_an_end_are_left_alone(world: World) -> None:
    world.deploy(desired_total=1)
    placed(world, "a1", False)
    world.job(priority=60)
    assert verdict(world) == Verdict()
    world.do(n.FailDeployment(deployment_id="d", description="x"))
    assert verdict(world) == Verdict()


# --- drains


def drains(world: World, later: int = 0) -> Drains:
    found = []

    def passing() -> Iterator[None]:
        found.append((yield from assess_drains(world.machine.view(), world.now + later)))

    deque(passing(), maxlen=0)
    return found[0]


def drain(world: World, deadline: int = HOUR, *, ignore_system: bool = False, node_id: str = "n1") -> None:
    at = to_rfc3339(world.now + deadline) if deadline > 0 else None
    strategy = DrainStrategy(deadline=deadline, force_deadline=at, ignore_system_jobs=ignore_system)
    world.do(n.DrainNode(node_id=node_id, strategy=strategy))


def on_node(world: World, kind: str, *names: str, parallel: int = 1, health: bool | None = True) -> None:
    group = TaskGroup(name="g", count=len(names), migrate=MigrateStrategy(max_parallel=parallel))
    world.job(kind, type=kind, group=group)
    for name in names:
        world.place(name, job_id=kind)
        status = AllocDeploymentStatus(healthy=health, timestamp=to_rfc3339(world.now))
        world.report(name, "running", deployment_status=status)


@pytest.mark.parametrize(("parallel", "leave"), [(1, 1), (2, 2), (5, 3)])
def test_services_leave_as_their_migrate_block_allows(world: World, parallel: int, leave: int) -> None:
    on_node(world, "service", "a1", "a2", "a3", parallel=parallel)
    drain(world)
    found = drains(world)
    assert len(found.marks) == leave and list(found.jobs) == [("default", "service")]
    assert not found.done and found.deadline_ns > world.now
    world.do(n.TransitionAllocations(transitions=found.marks))
    assert drains(world).marks == {}


def test_a_young_allocation_is_left_until_its_health_is_known(world: World) -> None:
    on_node(world, "service", "a1", health=None)
    drain(world)
    assert drains(world).marks == {}


def test_batch_runs_on_until_the_deadline_and_is_not_replaced_then(world: World) -> None:
    on_node(world, "batch", "a1")
    drain(world)
    assert drains(world).marks == {} and drains(world).done == []
    assert drains(world, HOUR).marks == {"a1": DesiredTransition(migrate=True, migrate_disable_placement=True)}


@pytest.mark.parametrize("ignored", [True, False])
def test_system_allocations_go_last_or_stay(world: World, ignored: bool) -> None:
    on_node(world, "system", "s1")
    on_node(world, "service", "a1")
    drain(world, ignore_system=ignored)
    assert set(drains(world).marks) == {"a1"}
    world.report("a1", "complete")
    found = drains(world)
    assert (found.done, set(found.marks)) == ((["n1"], set()) if ignored else ([], {"s1"}))


def test_a_forced_drain_marks_everything_at_once_and_says_so(world: World) -> None:
    on_node(world, "service", "a1", "a2", health=None)
    on_node(world, "system", "s1")
    drain(world, -1)
    assert set(drains(world).marks) == {"a1", "a2", "s1"}
    for name in ("a1", "a2", "s1"):
        world.report(name, "complete")
    found = drains(world)
    assert (found.done, found.forced) == (["n1"], ["n1"])


def test_a_job_that_is_gone_holds_nothing_back(world: World) -> None:
    on_node(world, "service", "a1", "a2")
    drain(world)
    world.do(c.DeregisterJob(namespace="default", job_id="service", eval_id="e"))
    assert set(drains(world).marks) == {"a1", "a2"}


def test_several_nodes_share_what_a_group_allows(world: World) -> None:
    world.node("n2")
    on_node(world, "service", "a1")
    world.place("a2", job_id="service", node_id="n2")
    world.report(
        "a2", "running", deployment_status=AllocDeploymentStatus(healthy=True, timestamp=to_rfc3339(world.now))
    )
    drain(world)
    drain(world, node_id="n2")
    group = TaskGroup(name="g", count=2, migrate=MigrateStrategy(max_parallel=1))
    world.job("service", type="service", group=group)
    assert len(drains(world).marks) == 1


@pytest.mark.parametrize("kind", ["service", "system"])
def test_drains_are_looked_at_one_row_a_step(world: World, kind: str) -> None:
    on_node(world, kind, *(f"a{number}" for number in range(50)))
    drain(world)
    assert len(list(assess_drains(world.machine.view(), world.now))) >= 50
