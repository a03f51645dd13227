"""What is collected and what is kept (spec scheduling §20)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.apply.world import SECOND, World
from yurt.fsm import commands as c
from yurt.fsm.structs.allocation import RescheduleEvent, RescheduleTracker
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.policies import ReschedulePolicy
from yurt.scheduler.duties.gc import FORCED, Thresholds, collecting, is_collectable

HOUR = 3600 * SECOND


def world(kind: str = "service", **fields: Any) -> World:
    made = World()
    made.node()
    made.job(type=kind, **fields)
    made.place("a1")
    end_evaluations(made)
    return made


def end_evaluations(made: World) -> None:
    done = tuple(replace(one, status="complete") for one in made.evaluations() if not one.is_terminal)
    made.do(c.UpdateEvaluations(evaluations=done))


def collected(made: World, later: int, thresholds: Thresholds = Thresholds()) -> c.CollectGarbage:
    """All that a pass finds, as one command."""
    found = [one for one in collecting(made.machine.view(), made.now + later, thresholds) if one is not None]
    return c.CollectGarbage(
        evaluation_ids=tuple(eval_id for one in found for eval_id in one.evaluation_ids),
        deployment_ids=tuple(deployment_id for one in found for deployment_id in one.deployment_ids),
        jobs=tuple(key for one in found for key in one.jobs),
        allocation_ids=tuple(alloc_id for one in found for alloc_id in one.allocation_ids),
        node_ids=tuple(node_id for one in found for node_id in one.node_ids),
    )


def test_what_lives_is_kept() -> None:
    found = collected(world(), 1000 * HOUR, FORCED)
    assert (found.jobs, found.allocation_ids, found.node_ids, found.deployment_ids) == ((), (), (), ())


def test_a_stopped_service_goes_when_its_allocations_have_ended() -> None:
    made = world()
    made.do(c.DeregisterJob(namespace="default", job_id="web", eval_id="e"))
    end_evaluations(made)
    assert collected(made, 5 * HOUR).jobs == ()
    made.report("a1", "complete")
    assert collected(made, HOUR).jobs == ()
    assert collected(made, 5 * HOUR).jobs == (("default", "web"),)


def test_a_batch_job_that_is_done_goes_and_one_that_may_run_again_keeps_its_evaluations() -> None:
    made = world("batch")
    made.report("a1", "complete")
    assert collected(made, 25 * HOUR).jobs == (("default", "web"),)
    kept = collected(made, 25 * HOUR, Thresholds(job=1000 * HOUR))
    assert (kept.jobs, kept.evaluation_ids, kept.allocation_ids) == ((), (), ())


@pytest.mark.parametrize(
    ("fields", "policy", "goes"),
    [
        ({"client_status": "complete"}, ReschedulePolicy(unlimited=True), True),
        ({"client_status": "failed"}, ReschedulePolicy(unlimited=True), False),
        ({"client_status": "failed"}, None, True),
        ({"client_status": "failed", "next_allocation": "b"}, ReschedulePolicy(unlimited=True), True),
        ({"client_status": "failed", "desired_status": "stop"}, ReschedulePolicy(unlimited=True), True),
        ({"client_status": "running", "desired_status": "stop"}, None, False),
        ({"client_status": "failed"}, ReschedulePolicy(attempts=1, interval=HOUR), False),
    ],
)
def test_which_allocations_go(fields: dict[str, Any], policy: ReschedulePolicy | None, goes: bool) -> None:
    made = world(group=TaskGroup(name="g", reschedule_policy=policy))
    row = replace(made.alloc(), **fields)
    assert is_collectable(row, made.jobs(), made.now + 2 * HOUR, HOUR) is goes
    assert not is_collectable(row, made.jobs(), made.now, HOUR)


def test_an_old_replacement_is_over_after_the_policys_interval() -> None:
    made = world(group=TaskGroup(name="g", reschedule_policy=ReschedulePolicy(attempts=1, interval=HOUR)))
    tracker = RescheduleTracker(events=(RescheduleEvent(reschedule_time=made.now),))
    row = replace(made.alloc(), client_status="failed", reschedule_tracker=tracker)
    assert not is_collectable(row, made.jobs(), made.now + HOUR, 0)
    assert is_collectable(row, made.jobs(), made.now + HOUR + 1, 0)


def test_nodes_that_are_down_for_long_and_empty_go() -> None:
    made = world()
    made.status("down")
    assert collected(made, 25 * HOUR).node_ids == ()
    made.report("a1", "lost")
    assert collected(made, HOUR).node_ids == () and collected(made, 25 * HOUR).node_ids == ("n1",)
