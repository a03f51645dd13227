"""Deployments: counted, promoted, paused, failed, gone back from (spec scheduling §8)."""

from __future__ import annotations

import pytest

from tests.fsm.apply.world import SECOND, World
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.structs.allocation import AllocDeploymentStatus
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.times import to_rfc3339

HOUR = 3600 * SECOND


@pytest.fixture
def world() -> World:
    made = World()
    made.node()
    made.job()
    return made


def state(world: World) -> DeploymentState:
    return (world.deployment().task_groups or {})["g"]


def healthy(world: World, alloc_id: str, value: bool = True) -> None:
    status = AllocDeploymentStatus(healthy=value, timestamp=to_rfc3339(world.now + 9 * SECOND), canary=True)
    world.report(alloc_id, "running", deployment_status=status)


def test_placements_and_health_are_counted(world: World) -> None:
    world.deploy(desired_total=2, progress_deadline=HOUR)
    assert state(world).require_progress_by is None
    world.place("a1", deployment_id="d")
    first = state(world).require_progress_by
    assert (state(world).placed_allocs, first) == (1, to_rfc3339(world.now + HOUR))
    healthy(world, "a1")
    healthy(world, "a1")
    assert (state(world).healthy_allocs, state(world).unhealthy_allocs) == (1, 0)
    assert (state(world).require_progress_by or "") > (first or "")
    healthy(world, "a1", False)
    assert (state(world).healthy_allocs, state(world).unhealthy_allocs) == (0, 1)
    row = world.alloc("a1").deployment_status
    assert row is not None and row.canary is False  # not for the node to say


def test_a_plan_that_repeats_the_deployment_does_not_reset_counts(world: World) -> None:
    made = world.deploy(desired_total=2)
    world.place("a1", deployment_id="d")
    world.do(c.ApplyPlan(eval_id="plan", deployment=made))
    assert state(world).placed_allocs == 1


def canary(world: World, *, count: int = 1, auto_revert: bool = False) -> None:
    world.deploy(desired_total=2, desired_canaries=count, auto_revert=auto_revert, progress_deadline=HOUR)
    world.place("a1", deployment_id="d", deployment_status=AllocDeploymentStatus(canary=True))


def test_promotion_needs_healthy_canaries(world: World) -> None:
    canary(world)
    assert state(world).placed_canaries == ("a1",)
    text = '1 error occurred:\n\t* Task group "g" has 0/1 healthy allocations\n\n'
    assert world.refused(n.PromoteDeployment(deployment_id="d", all=True)) == (500, text)
    nothing = world.do(n.PromoteDeployment(deployment_id="d", groups=("other",), eval_id="e1"))
    assert nothing.eval_id == "e1" and not state(world).promoted
    healthy(world, "a1")
    before = world.alloc("a1").alloc_modify_index
    world.do(n.PromoteDeployment(deployment_id="d", all=True, eval_id="e2"))
    row = world.alloc("a1")
    assert state(world).promoted and row.deployment_status is not None and not row.deployment_status.canary
    assert row.alloc_modify_index > before
    assert world.evaluations("deployment-watcher")[-1].deployment_id == "d"


def test_pausing_makes_no_evaluation_going_on_does(world: World) -> None:
    world.deploy(desired_total=1)
    assert world.do(n.PauseDeployment(deployment_id="d", pause=True, eval_id="e")).eval_id == ""
    assert (world.deployment().status, world.deployment().status_description) == ("paused", "Deployment is paused")
    assert world.do(n.PauseDeployment(deployment_id="d", pause=False, eval_id="e")).eval_id == "e"
    assert world.deployment().status == "running"


def test_a_failure_without_a_way_back(world: World) -> None:
    world.deploy(auto_revert=False)
    assert world.do(n.FailDeployment(deployment_id="d", description="Why", eval_id="e")).reverted_version is None
    assert (world.deployment().status, world.deployment().status_description) == ("failed", "Why")
    for command, verb in (
        (n.PromoteDeployment(deployment_id="d"), "promote"),
        (n.PauseDeployment(deployment_id="d", pause=True), "pause"),
        (n.PauseDeployment(deployment_id="d", pause=False), "resume"),
        (n.FailDeployment(deployment_id="d", description=""), "fail"),
    ):
        assert world.refused(command) == (500, f"can't {verb} terminal deployment")
    text = "can't set health of allocations for a terminal deployment"
    assert world.refused(n.SetAllocationHealth(deployment_id="d", healthy=("a",))) == (500, text)


def test_a_failure_goes_back_to_the_newest_stable_version(world: World) -> None:
    world.do(c.SetJobStability(namespace="default", job_id="web", version=0, stable=True))
    world.job(priority=60)
    world.deploy(auto_revert=True)
    result = world.do(n.FailDeployment(deployment_id="d", description="Why", eval_id="e"))
    assert result.reverted_version == 0
    assert world.deployment().status_description == "Why - rolling back to job version 0"
    assert (world.jobs().version, world.jobs().priority, world.jobs().stable) == (2, 50, False)
    assert [one.id for one in world.evaluations("deployment-watcher")] == ["e"]


@pytest.mark.parametrize(
    ("stable", "text"),
    [
        (False, "Why - no stable job version to auto revert to"),
        (True, "Why - not rolling back to stable job version 0 as current job has same specification"),
    ],
)
def test_there_may_be_no_way_back(world: World, stable: bool, text: str) -> None:
    if stable:
        world.do(c.SetJobStability(namespace="default", job_id="web", version=0, stable=True))
    world.deploy()
    result = world.do(n.FailDeployment(deployment_id="d", description="Why", revert=True, eval_id="e"))
    assert (result.reverted_version, world.deployment().status_description) == (None, text)
    assert world.jobs().version == 0


def test_health_by_hand(world: World) -> None:
    world.deploy(desired_total=2)
    world.place("a1", deployment_id="d")
    world.place("a2", deployment_id="d")
    world.place("a3")
    for command, text in (
        (n.SetAllocationHealth(deployment_id="d"), "must specify at least one healthy/unhealthy allocation ID"),
        (n.SetAllocationHealth(deployment_id="d", healthy=("x",)), 'unknown alloc "x"'),
        (n.SetAllocationHealth(deployment_id="d", unhealthy=("a3",)), 'alloc "a3" is not part of deployment "d"'),
        (n.SetAllocationHealth(deployment_id="x", healthy=("a1",)), "deployment not found"),
    ):
        assert world.refused(command) == (500, text)
    world.do(n.SetAllocationHealth(deployment_id="d", healthy=("a1",), eval_id="e"))
    assert state(world).healthy_allocs == 1 and world.deployment().status == "running"
    world.do(n.SetAllocationHealth(deployment_id="d", healthy=("a2",), unhealthy=("a2",), eval_id="e2"))
    assert state(world).unhealthy_allocs == 1
    assert world.deployment().status_description == "Failed due to unhealthy allocations"
