"""Deployments and canaries as an evaluation begins, follows and ends them, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scheduler.picture import (
    AT_ONCE,
    CANARY,
    HOUR,
    NOW,
    UPDATE,
    Picture,
    alloc,
    allocs,
    ended,
    group,
    in_deployment,
    job,
    names,
    newer,
    node,
    rolling,
    stops,
    task,
    unknown,
    updates,
)
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import Disconnect, ReschedulePolicy, UpdateStrategy
from yurt.fsm.structs.times import SECOND

NOT_NEEDED = "alloc not needed due to job update"
NEWER = "Cancelled due to newer version of job"


def versions(old_count: int, count: int, update: UpdateStrategy = UPDATE, **fields: Any) -> tuple[Job, Job]:
    """A job and its next version, which replaces everything."""
    old = job(group(count=old_count, update=update, **fields))
    return old, newer(old, group(count=count, update=update, tasks=(task(env={"A": "2"}),), **fields))


def picture_of(old: Job, new: Job, *rows: Any, nodes: int = 30) -> Picture:
    picture = Picture(old, *rows, nodes=nodes)
    picture.put(new)
    return picture


def test_dep_create_first() -> None:
    of = job(group(count=10, update=UPDATE))
    out = Picture(of, nodes=10).evaluate(of)
    deployment = out.deployment
    assert deployment is not None and deployment.task_groups is not None
    assert (deployment.status, deployment.status_description) == ("running", "Deployment is running")
    assert (
        deployment.task_groups["g"].desired_total == 10
        and deployment.task_groups["g"].progress_deadline == 600 * SECOND
    )
    assert {one.allocation.deployment_id for one in out.placed} == {deployment.id} == {out.evaluation.deployment_id}


def test_dep_create_destructive() -> None:
    old, new = versions(10, 10)
    out = picture_of(old, new, *allocs(old, range(10))).evaluate(new)
    assert names(out) == [0, 1, 2, 3] and updates(out) == {"destructive_update": 4, "ignore": 6}
    assert out.deployment is not None and out.deployment.task_groups["g"].desired_total == 10  # type: ignore[index]


def test_dep_newer_create_index() -> None:
    old = job(group(count=5, update=UPDATE))
    new = replace(old, create_index=200, job_modify_index=200, modify_index=200)
    out = Picture(new, *allocs(old, range(5)), nodes=10).evaluate(new)
    assert out.deployment is not None and out.deployment.task_groups["g"].desired_total == 5  # type: ignore[index]
    assert out.deployment.job_create_index == 200


def test_dep_none_without_change() -> None:
    of = job(group(count=10, update=UPDATE))
    out = Picture(of, *allocs(of, range(10)), nodes=10).evaluate(of)
    assert not out.has_plan and updates(out) == {"ignore": 10}


def test_dep_cancel_newer() -> None:
    old, new = versions(10, 10)
    for status, expected in (("running", [("cancelled", NEWER)]), ("paused", [("cancelled", NEWER)]), ("failed", [])):
        deployment = rolling(old, status, g=DeploymentState(desired_total=10))
        out = picture_of(old, new, deployment, *allocs(old, range(10))).evaluate(new)
        assert [(one.status, one.description) for one in out.deployment_updates] == expected


def test_dep_cancel_stopped() -> None:
    of = job(group(count=2, update=UPDATE))
    stopped = newer(of, stop=True)
    out = Picture(of, stopped, rolling(of, g=DeploymentState()), *allocs(of, range(2)), nodes=2).evaluate(stopped)
    assert [one.description for one in out.deployment_updates] == ["Cancelled because job is stopped"]


@pytest.mark.parametrize("status", ["paused", "failed"])
def test_dep_paused_no_placements(status: str) -> None:
    of = job(group(count=15, update=UPDATE))
    deployment = rolling(of, status, g=DeploymentState(desired_total=15))
    out = Picture(of, deployment, *allocs(of, range(10), **in_deployment(of)), nodes=15).evaluate(of)
    assert not out.placed and updates(out) == {"ignore": 10}


def canary_picture(
    *, promoted: bool = False, status: str = "running", there: int = 2, healthy: bool | None = True, total: int = 10
) -> tuple[Picture, Job, list[Any]]:
    """So many canaries beside ten allocations of the older version."""
    old, new = versions(10, total, CANARY)
    canaries = [
        alloc(new, n, f"node-{20 + n:05d}", **in_deployment(new, healthy=healthy, canary=not promoted))
        for n in range(there)
    ]
    state = DeploymentState(
        desired_total=total, desired_canaries=2, placed_canaries=tuple(one.id for one in canaries), promoted=promoted,
        healthy_allocs=there if healthy else 0,
    )  # fmt: skip
    return picture_of(old, new, *allocs(old, range(10)), *canaries, rolling(new, status, g=state)), new, canaries


def test_dep_paused_no_canaries() -> None:
    picture, new, _ = canary_picture(status="paused", there=1)
    out = picture.evaluate(new)
    assert not out.has_plan
    picture, new, canaries = canary_picture(status="failed", there=1)
    assert stops(picture.evaluate(new)) == {canaries[0].id: NOT_NEEDED}


@pytest.mark.parametrize("healthy", range(5))
def test_dep_limit_health(healthy: int) -> None:
    old, new = versions(10, 10)
    placed = [alloc(new, n, **in_deployment(new, healthy=True if n < healthy else None)) for n in range(4)]
    deployment = rolling(new, g=DeploymentState(desired_total=10, placed_allocs=4, healthy_allocs=healthy))
    out = picture_of(old, new, *allocs(old, range(4, 10)), *placed, deployment).evaluate(new, "deployment-watcher")
    assert names(out) == list(range(4, 4 + healthy)) and updates(out).get("destructive_update", 0) == healthy


def test_dep_limit_unhealthy() -> None:
    old, new = versions(10, 10)
    placed = [alloc(new, n, **in_deployment(new, healthy=n > 0)) for n in range(4)]
    deployment = rolling(new, g=DeploymentState(desired_total=10, placed_allocs=4, healthy_allocs=3))
    out = picture_of(old, new, *allocs(old, range(4, 10)), *placed, deployment).evaluate(new)
    assert not out.placed


def test_dep_complete_mark() -> None:
    of = job(group(count=10, update=UPDATE))
    deployment = rolling(of, g=DeploymentState(desired_total=10, placed_allocs=10, healthy_allocs=10))
    out = Picture(of, deployment, *allocs(of, range(10), **in_deployment(of, healthy=True)), nodes=10).evaluate(of)
    assert [(one.status, one.description) for one in out.deployment_updates] == [
        ("successful", "Deployment completed successfully")
    ]
    assert out.evaluation.deployment_id == deployment.id


def test_dep_not_complete_while_one_is_undecided() -> None:
    of = job(group(count=10, update=UPDATE))
    deployment = rolling(of, g=DeploymentState(desired_total=10, placed_allocs=10, healthy_allocs=9))
    out = Picture(of, deployment, *allocs(of, range(10), **in_deployment(of)), nodes=10).evaluate(of)
    assert not out.has_plan


def test_dep_complete_with_failed_others() -> None:
    of = job(group(count=10, update=UPDATE))
    deployment = rolling(of, g=DeploymentState(desired_total=10, placed_allocs=20, healthy_allocs=10))
    rows = allocs(of, range(10), **in_deployment(of, healthy=True))
    rows += [
        alloc(of, n, number=50 + n, desired_status="stop", client_status="failed", **in_deployment(of))
        for n in range(10)
    ]
    out = Picture(of, deployment, *rows, nodes=10).evaluate(of)
    assert [one.status for one in out.deployment_updates] == ["successful"]


def test_dep_new_after_failed() -> None:
    old, new = versions(10, 10)
    deployment = rolling(old, "failed", g=DeploymentState(desired_total=10))
    out = picture_of(old, new, deployment, *allocs(old, range(10))).evaluate(new)
    assert out.deployment is not None and len(out.placed) == 4 and not out.deployment_updates


def test_dep_failed_cancels_canaries() -> None:
    old = job(group(count=2, update=CANARY), group("h", 2, update=CANARY))
    changed: tuple[TaskGroup, ...] = tuple(replace(one, tasks=(task(env={"A": "2"}),)) for one in old.task_groups or ())
    new = newer(old, *changed)
    rows = {
        name: [
            alloc(new, n, f"node-{n + 5:05d}", named=name, **in_deployment(new, canary=name == "h")) for n in range(2)
        ]
        for name in ("g", "h")
    }
    states = {
        name: DeploymentState(
            desired_total=2, desired_canaries=2, promoted=name == "g", placed_canaries=tuple(one.id for one in members)
        )
        for name, members in rows.items()
    }
    olds = [*allocs(old, range(2), named="h")]
    picture = picture_of(old, new, *olds, *rows["g"], *rows["h"], rolling(new, "failed", **states))
    assert stops(picture.evaluate(new)) == {one.id: NOT_NEEDED for one in rows["h"]}


def test_dep_inplace_then_health() -> None:
    """What is changed in place belongs to the new deployment, whose health counts from nothing."""
    old = job(group(count=3, update=UPDATE))
    new = newer(old, priority=70)
    out = picture_of(old, new, *allocs(old, range(3), **in_deployment(old, healthy=True))).evaluate(new)
    assert out.deployment is not None
    state = (out.deployment.task_groups or {})["g"]
    assert (state.desired_total, state.healthy_allocs) == (3, 0)
    assert {one.deployment_id for one in out.updated} == {out.deployment.id}


def test_no_deployment_for_batch() -> None:
    of = job(group(count=2, update=UPDATE), type="batch")
    assert Picture(of, nodes=2).evaluate(of).deployment is None


# --- canaries


def test_canary_new() -> None:
    old, new = versions(10, 10, CANARY)
    out = picture_of(old, new, *allocs(old, range(10))).evaluate(new)
    assert names(out) == [0, 1] and updates(out) == {"canary": 2, "ignore": 10} and not out.stopped
    assert out.deployment is not None
    assert out.deployment.status_description == "Deployment is running but requires manual promotion"
    state = (out.deployment.task_groups or {})["g"]
    assert (state.desired_canaries, state.desired_total) == (2, 10)
    assert all(one.allocation.deployment_status.canary for one in out.placed)  # type: ignore[union-attr]


def test_canary_auto_promote_text() -> None:
    old, new = versions(10, 10, replace(CANARY, auto_promote=True))
    out = picture_of(old, new, *allocs(old, range(10))).evaluate(new)
    assert out.deployment is not None
    assert out.deployment.status_description == "Deployment is running pending automatic promotion"


def test_canary_more_than_count() -> None:
    old, new = versions(3, 3, replace(CANARY, canary=7))
    out = picture_of(old, new, *allocs(old, range(3))).evaluate(new)
    assert updates(out)["canary"] == 7 and len(out.placed) == 3
    assert out.deployment is not None and out.deployment.task_groups["g"].desired_total == 3  # type: ignore[index]


def test_canary_scale_up() -> None:
    old, new = versions(10, 15, CANARY)
    out = picture_of(old, new, *allocs(old, range(10))).evaluate(new)
    assert names(out) == [0, 1] and out.deployment is not None
    assert out.deployment.task_groups["g"].desired_total == 15  # type: ignore[index]


def test_canary_scale_down() -> None:
    old, new = versions(10, 5, CANARY)
    out = picture_of(old, new, *allocs(old, range(10))).evaluate(new)
    assert names(out) == [0, 1] and sorted(stops(out)) == [f"alloc-g-0-{n:05d}" for n in range(5, 10)]


def test_canary_stop_old() -> None:
    picture, new, canaries = canary_picture()
    newest = newer(new, group(count=10, update=CANARY, tasks=(task(env={"A": "3"}),)))
    picture.put(newest)
    out = picture.evaluate(newest)
    assert stops(out) == {one.id: NOT_NEEDED for one in canaries} and names(out) == [0, 1]
    assert updates(out) == {"stop": 2, "canary": 2, "ignore": 10}


def test_canary_there_already() -> None:
    picture, new, _ = canary_picture(healthy=None)
    out = picture.evaluate(new)
    assert not out.has_plan and updates(out) == {"ignore": 12}


def test_canary_promote() -> None:
    picture, new, _ = canary_picture(promoted=True)
    out = picture.evaluate(new, "deployment-watcher")
    texts = stops(out)
    assert names(out) == [2, 3] and texts["alloc-g-0-00000"] == texts["alloc-g-0-00001"] == NOT_NEEDED
    assert updates(out) == {"stop": 2, "destructive_update": 2, "ignore": 8}


def test_canary_not_for_inplace() -> None:
    old = job(group(count=10, update=CANARY))
    new = newer(old, priority=70)
    out = picture_of(old, new, *allocs(old, range(10))).evaluate(new)
    assert updates(out) == {"in_place_update": 10} and not out.placed


def test_canary_lost_noncanary_old_version() -> None:
    picture, new, _ = canary_picture()
    picture.put(node(7, status="down"))
    out = picture.evaluate(new, "node-update")
    assert names(out) == [7] and [one.job_version for one in out.placed] == [0]
    assert out.placed[0].allocation.deployment_id == ""


def test_canary_lost_with_the_first_evaluation_of_a_version() -> None:
    old, new = versions(10, 10, CANARY)
    out = picture_of(old, new, *allocs(old, range(10)), node(7, status="down"), nodes=0).evaluate(new)
    picture = picture_of(old, new, *allocs(old, range(10)))
    picture.put(node(7, status="down"))
    out = picture.evaluate(new)
    placed = {one.allocation.name: one.job_version for one in out.placed}
    assert placed == {"j.g[0]": 1, "j.g[1]": 1, "j.g[7]": 0}


def test_canary_disconnect() -> None:
    policy = ReschedulePolicy(attempts=1, interval=3600 * SECOND, delay=0, delay_function="constant")
    old, new = versions(6, 6, CANARY, disconnect=Disconnect(lost_after=300 * SECOND), reschedule_policy=policy)
    canaries = [alloc(new, n, f"node-{20 + n:05d}", **in_deployment(new, canary=True)) for n in range(2)]
    state = DeploymentState(desired_total=6, desired_canaries=2, placed_canaries=tuple(one.id for one in canaries))
    picture = picture_of(old, new, *allocs(old, range(6)), *canaries, rolling(new, g=state))
    picture.put(*(node(number, status="disconnected") for number in range(3)))
    out = picture.evaluate(new, "node-update")
    assert [one.client_status for one in out.updated] == ["unknown"] * 3 and names(out) == [0, 1, 2]
    assert "canary" not in updates(out) and updates(out)["disconnect"] == 3


# --- what the simulation found


def test_a_canary_that_was_begun_comes_although_nothing_old_runs() -> None:
    old = job(group(count=1, update=CANARY))
    new = newer(old, group(count=1, update=CANARY, tasks=(task(env={"A": "2"}),)))
    deployment = rolling(new, g=DeploymentState(desired_total=1, desired_canaries=2))
    failed = alloc(old, 0, **ended(NOW - HOUR))
    out = picture_of(old, new, deployment, failed).evaluate(new)
    canaries = [
        one for one in out.placed if one.allocation.deployment_status and one.allocation.deployment_status.canary
    ]
    assert canaries, "without it the deployment would wait for ever"


def promoted(count: int, *rows: Any) -> tuple[Job, Job, list[Any]]:
    """A deployment of a new version whose canary [0] was promoted and is healthy."""
    old = job(group(count=count, update=CANARY))
    new = newer(old, group(count=count, update=CANARY, tasks=(task(env={"A": "2"}),)))
    canary = alloc(new, 0, "node-00009", **in_deployment(new, healthy=True))
    state = DeploymentState(
        desired_total=count, desired_canaries=1, promoted=True, placed_canaries=(canary.id,), placed_allocs=1,
        healthy_allocs=1,
    )  # fmt: skip
    return old, new, [rolling(new, g=state), canary, *rows]


def test_a_failed_allocation_is_not_replaced_beside_the_promoted_canary_in_its_place() -> None:
    old, new, rows = promoted(2)
    out = picture_of(old, new, *rows, alloc(old, 0, **ended(NOW - HOUR)), alloc(old, 1)).evaluate(new)
    assert names(out) == [1], "[0] is the canary"


def test_a_lost_allocation_whose_name_a_promoted_canary_has_gets_another() -> None:
    old, new, rows = promoted(3)
    gone = node(7, status="down")
    out = picture_of(old, new, *rows, gone, alloc(old, 0, gone.id)).evaluate(new)
    assert sorted(names(out)) == [1, 2]


def test_an_old_allocation_in_a_promoted_canarys_place_ends_while_another_is_unknown() -> None:
    old, new, rows = promoted(3)
    away = node(7, status="disconnected")
    group_of = replace(new.task_groups[0], disconnect=Disconnect(lost_after=HOUR))  # type: ignore[index]
    new = replace(new, task_groups=(group_of,))
    held = alloc(new, 2, away.id, **unknown(NOW - SECOND), next_allocation="")
    out = picture_of(old, new, *rows, away, held, alloc(old, 0), alloc(old, 1)).evaluate(new)
    assert 0 not in names(out)


def test_a_failed_canary_of_a_past_deployment_does_not_come_back() -> None:
    old = job(group(count=1, update=CANARY))
    middle = newer(old, group(count=1, update=CANARY, tasks=(task(env={"A": "2"}),)))
    new = newer(middle, group(count=1, update=UPDATE, tasks=(task(env={"A": "3"}),)))
    canary = alloc(middle, 0, "node-00005", **in_deployment(middle, canary=True), **ended(NOW - HOUR))
    state = DeploymentState(desired_total=1, desired_canaries=2, placed_canaries=(canary.id,), placed_allocs=1)
    out = picture_of(old, new, middle, rolling(middle, "failed", g=state), canary, alloc(old, 0)).evaluate(new)
    assert canary.id in stops(out) and len(out.placed) == 1


def test_one_that_was_healthy_and_fails_during_the_rollout_is_replaced() -> None:
    of = job(group(count=2, update=UPDATE, reschedule_policy=AT_ONCE))
    state = DeploymentState(desired_total=2, placed_allocs=2, healthy_allocs=1, progress_deadline=HOUR)
    failed = alloc(of, 0, **in_deployment(of, healthy=True), **ended(NOW - HOUR))
    young = alloc(of, 1, **in_deployment(of))
    out = Picture(of, rolling(of, g=state), failed, young, nodes=3).evaluate(of, "alloc-failure")
    assert names(out) == [0]


def test_a_canary_does_not_take_a_name_that_stays_in_use() -> None:
    """Back to a version before: [0] is held by one that is updated in place, and by the canary of the time between."""
    old = job(group(count=2, update=CANARY))
    middle = newer(old, group(count=2, update=CANARY, tasks=(task(env={"A": "2"}),)))
    new = newer(middle, group(count=3, update=CANARY))
    tried = alloc(middle, 0, "node-00009", **in_deployment(middle, healthy=True))
    state = DeploymentState(desired_total=2, desired_canaries=1, promoted=True, placed_canaries=(tried.id,))
    past = rolling(middle, "cancelled", g=state)
    out = picture_of(old, new, middle, past, tried, alloc(old, 0), alloc(old, 1)).evaluate(new)
    assert sorted(names(out)) == [2, 3], "two canaries, none of them [0]"
