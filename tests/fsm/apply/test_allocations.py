"""Allocations: placed, stopped, changed by plans; reported by nodes; counted (spec scheduling §6, §8.3, §9.3, §17.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.apply.world import SECOND, World
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS
from yurt.fsm.structs.allocation import (
    Allocation,
    AllocDeploymentStatus,
    AllocState,
    DesiredTransition,
    RescheduleEvent,
    RescheduleTracker,
    TaskState,
)
from yurt.fsm.structs.author import Author
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import TaskGroupSummary
from yurt.fsm.structs.plan import AllocationChange, AllocationEviction, AllocationStop, Placement
from yurt.fsm.structs.policies import ReschedulePolicy
from yurt.fsm.structs.times import to_rfc3339


@pytest.fixture
def world() -> World:
    made = World()
    made.node()
    made.job()
    return made


def plan(world: World, **parts: Any) -> None:
    world.do(c.ApplyPlan(eval_id="plan", **parts))


# --- plans


def test_a_placement_gets_its_job_indexes_and_times(world: World) -> None:
    row = world.place("a1")
    assert row.job is not None and (row.job.id, row.job.version) == ("web", 0)
    assert row.create_index == row.modify_index == row.alloc_modify_index == world.machine.index
    assert row.create_time == row.modify_time == world.now
    assert world.jobs().status == "running"
    assert world.group() == TaskGroupSummary(starting=1)


@pytest.mark.parametrize(("evaluates_late", "version"), [(False, 1), (True, 5)])
def test_what_was_placed_too_late_is_evaluated_where_every_server_does_so(
    world: World, evaluates_late: bool, version: int
) -> None:
    """A plan of before, in the log or of an older leader, must lead to what it led to then."""
    world.status("down")
    before = {one.id for one in world.machine.view().scan(EVALUATIONS)}
    row = Allocation(id="a1", namespace="default", job_id="web", task_group="g", node_id="n1", client_status="pending")
    placed = (Placement(allocation=row, job_version=0),)
    command = c.ApplyPlan(eval_id="plan", placed=placed, evaluates_late=evaluates_late)
    assert c.encode(command)[0] == version, "a server that does not know it must not take it"
    world.do(command)
    new = [one for one in world.machine.view().scan(EVALUATIONS) if one.id not in before]
    assert [one.job_id for one in new] == (["web"] if evaluates_late else [])


def test_commands_with_an_author_are_of_the_version_that_knows_authors() -> None:
    for kind in (c.DeregisterJob, c.ScaleJob, c.RevertJob):
        given = {"namespace": "default", "job_id": "web", **({"group": "g"} if kind is c.ScaleJob else {})}
        plain, authored = (kind(**given, **more) for more in ({}, {"by": Author(name="ann")}))
        assert (c.encode(plain)[0], c.encode(authored)[0]) == (1, c.AUTHORS_SINCE)
        assert c.decode(c.encode(authored)) == authored


def test_nothing_is_placed_for_a_stopped_or_purged_job(world: World) -> None:
    world.do(c.DeregisterJob(namespace="default", job_id="web", eval_id="e"))
    row = Allocation(id="a1", namespace="default", job_id="web", task_group="g", node_id="n1", client_status="pending")
    plan(world, placed=(Placement(allocation=row, job_version=0),))
    world.do(c.DeregisterJob(namespace="default", job_id="web", purge=True, eval_id="e2"))
    plan(world, placed=(Placement(allocation=row, job_version=0),))
    assert world.machine.view().get(ALLOCATIONS, "a1") is None


def test_a_replacement_is_linked(world: World) -> None:
    world.place("a1")
    world.place("a2", previous_allocation="a1")
    assert world.alloc("a1").next_allocation == "a2"


def test_stops_evictions_and_changes(world: World) -> None:
    for name in ("a1", "a2", "a3", "a4"):
        world.place(name)
        world.report(name, "running")
    before = world.alloc("a1")
    plan(
        world,
        stopped=(AllocationStop(id="a1", description="why", followup_eval_id="e", last_reschedule="ok"), AllocationStop(id="a4", client_status="lost")),
        evicted=(AllocationEviction(id="a2", preempted_by="b"),),
        changed=(AllocationChange(id="a3", client_status="unknown", alloc_state=AllocState(value="unknown"), followup_eval_id="f"),),
    )  # fmt: skip
    stopped, evicted, unknown = (world.alloc(name) for name in ("a1", "a2", "a3"))
    assert (stopped.desired_status, stopped.desired_description, stopped.client_status) == ("stop", "why", "running")
    assert stopped.followup_eval_id == "e" and stopped.reschedule_tracker == RescheduleTracker(last_reschedule="ok")
    assert stopped.alloc_modify_index > before.alloc_modify_index and stopped.create_index == before.create_index
    assert (evicted.desired_status, evicted.desired_description) == ("evict", "Preempted by alloc ID b")
    assert (unknown.client_status, unknown.alloc_states, unknown.followup_eval_id) == (
        "unknown",
        (AllocState(value="unknown"),),
        "f",
    )
    assert world.group() == TaskGroupSummary(running=2, lost=1, unknown=1)


def test_an_update_in_place(world: World) -> None:
    world.deploy()
    world.place("a1", deployment_id="d", deployment_status=AllocDeploymentStatus(healthy=True))
    world.job(priority=60)
    plan(world, changed=(AllocationChange(id="a1", job_version=1, deployment_id="d2"),))
    row = world.alloc()
    assert row.job is not None and (row.job.version, row.deployment_id, row.deployment_status) == (1, "d2", None)
    assert row.eval_id == "plan"


def test_what_is_gone_is_left_out(world: World) -> None:
    plan(world, stopped=(AllocationStop(id="x"),), changed=(AllocationChange(id="y"),), evicted=(AllocationEviction(id="z", preempted_by=""),))  # fmt: skip
    assert world.machine.view().count(ALLOCATIONS) == 0


# --- reports


def test_a_report_changes_what_a_node_may_change(world: World) -> None:
    placed = world.place("a1")
    states = {"t": TaskState(state="running")}
    world.report("a1", "running", client_description="Tasks are running", task_states=states)
    row = world.alloc()
    assert (row.client_status, row.client_description, row.task_states) == ("running", "Tasks are running", states)
    assert row.alloc_modify_index == placed.alloc_modify_index < row.modify_index
    assert world.nodes().last_alloc_update_index == row.modify_index
    assert world.group() == TaskGroupSummary(running=1)


def test_complete_and_failed_count_for_ever_others_do_not(world: World) -> None:
    world.place("a1")
    for status in ("running", "lost", "complete"):
        world.report("a1", status)
    assert world.group() == TaskGroupSummary(complete=1)
    world.report("a1", "failed")
    assert world.group() == TaskGroupSummary(complete=1, failed=1)


def test_the_last_allocation_that_ends_ends_the_job(world: World) -> None:
    done = tuple(replace(evaluation, status="complete") for evaluation in world.evaluations())
    world.do(c.UpdateEvaluations(evaluations=done))
    world.place("a1")
    assert world.jobs().status == "running"
    world.report("a1", "complete")
    assert world.jobs().status == "dead"


RETRY = {"attempts": 2, "interval": 3600 * SECOND, "delay": SECOND}


@pytest.mark.parametrize(
    ("policy", "events", "kind", "evaluated"),
    [
        (ReschedulePolicy(unlimited=True), 0, "service", True),
        (ReschedulePolicy(**RETRY), 1, "service", True),
        (ReschedulePolicy(**RETRY), 2, "service", False),
        (ReschedulePolicy(), 0, "service", False),
        (None, 0, "batch", False),
        (None, 0, "system", True),
    ],
)
def test_a_failure_is_evaluated_if_it_may_be_replaced(
    policy: ReschedulePolicy | None, events: int, kind: str, evaluated: bool
) -> None:
    world = World()
    world.node()
    world.job(type=kind, group=TaskGroup(name="g", reschedule_policy=policy))
    past = tuple(RescheduleEvent(reschedule_time=world.now - SECOND) for _ in range(events))
    world.place("a1", reschedule_tracker=RescheduleTracker(events=past))
    state = TaskState(state="dead", failed=True, finished_at=to_rfc3339(world.now))
    world.report("a1", "failed", task_states={"t": state})
    world.report("a1", "failed", task_states={"t": state})
    assert [one.job_id for one in world.evaluations("alloc-failure")] == (["web"] if evaluated else [])


def test_an_allocation_that_comes_back(world: World) -> None:
    world.place("a1")
    world.report("a1", "running")
    waiting = Evaluation(
        id="late", namespace="default", job_id="web", status="pending", wait_until="2030-01-01T00:00:00Z"
    )
    plan(world, changed=(AllocationChange(id="a1", client_status="unknown", followup_eval_id="late"),), evaluations=(waiting,))  # fmt: skip
    world.report("a1", "running")
    ended = world.machine.view().get(EVALUATIONS, "late")
    assert ended is not None and (ended.status, ended.status_description) == ("canceled", "allocs reconnected")
    assert world.alloc().followup_eval_id == "" and len(world.evaluations("reconnect")) == 1


def test_a_report_of_a_job_that_is_gone_stops_the_allocation(world: World) -> None:
    world.place("a1")
    row = world.alloc()
    world.do(c.DeregisterJob(namespace="default", job_id="web", purge=True, eval_id="e"))
    assert world.machine.view().get(ALLOCATIONS, "a1") is None  # with its job
    assert world.nodes().modify_index == world.machine.index  # so that the node looks
    world.report(row.id, "running")
    assert world.machine.view().get(ALLOCATIONS, "a1") is None


def test_marks_are_added(world: World) -> None:
    world.place("a1")
    world.do(n.TransitionAllocations(transitions={"a1": DesiredTransition(migrate=True), "gone": DesiredTransition()}))
    world.do(n.TransitionAllocations(transitions={"a1": DesiredTransition(reschedule=False)}))
    assert world.alloc().desired_transition == DesiredTransition(migrate=True, reschedule=False)


def test_what_nobody_needs_is_deleted_and_what_is_needed_is_not(world: World) -> None:
    for name in ("a1", "a2"):
        world.place(name)
    world.report("a1", "complete")
    world.do(c.CollectGarbage(allocation_ids=("a1", "a2"), node_ids=("n1",)))
    view = world.machine.view()
    assert view.get(ALLOCATIONS, "a1") is None and view.get(ALLOCATIONS, "a2") is not None
    assert world.nodes().status == "ready"
