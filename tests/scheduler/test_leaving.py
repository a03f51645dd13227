"""Lost nodes, drains, and rescheduling of what failed, case by case."""

from __future__ import annotations

from typing import Any

from tests.scheduler.picture import (
    BATCH_POLICY,
    CANARY,
    HOUR,
    MIGRATE,
    MINUTE,
    NOW,
    RESCHEDULE,
    SERVICE_POLICY,
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
    updates,
)
from yurt.fsm.store.schema import ALLOCATIONS
from yurt.fsm.structs.allocation import DesiredTransition, RescheduleEvent, RescheduleTracker
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import DrainStrategy
from yurt.fsm.structs.policies import ReschedulePolicy
from yurt.fsm.structs.resources import Resources
from yurt.fsm.structs.times import SECOND, to_rfc3339
from yurt.scheduler.reconcile.reschedule import delay, tracker_after

LOST = "alloc is lost since its node is down"
MIGRATING = "alloc is being migrated"
NEVER_AGAIN = DesiredTransition(migrate=True, migrate_disable_placement=True)


def draining(number: int) -> Any:
    return node(number, drain_strategy=DrainStrategy(), scheduling_eligibility="ineligible")


def down(number: int) -> Any:
    return node(number, status="down")


# --- lost


def test_lost_two() -> None:
    of = job(group(count=10))
    out = Picture(of, *allocs(of, range(10)), down(0), down(1), nodes=12).evaluate(of, "node-update")
    assert names(out) == [0, 1] and updates(out) == {"ignore": 8, "stop": 2, "place": 2}
    assert [(one.client_status, one.description) for one in out.stopped] == [("lost", LOST)] * 2
    assert [one.allocation.previous_allocation for one in out.placed] == ["alloc-g-0-00000", "alloc-g-0-00001"]


def test_lost_scale_up() -> None:
    of = job(group(count=15))
    out = Picture(of, *allocs(of, range(10)), down(0), down(1), nodes=12).evaluate(of)
    assert names(out) == [0, 1, 10, 11, 12, 13, 14] and len(out.stopped) == 2


def test_lost_node_gone() -> None:
    of = job(group(count=1))
    out = Picture(of, alloc(of, 0, "gone"), nodes=1).evaluate(of, "node-update")
    assert names(out) == [0] and stops(out) == {"alloc-g-0-00000": LOST}


def test_desired_stop_on_down_node() -> None:
    of = job(group(count=0))
    out = Picture(of, alloc(of, 0, desired_status="stop"), down(0)).evaluate(of, "node-update")
    assert [(one.id, one.client_status, one.description) for one in out.stopped] == [("alloc-g-0-00000", "lost", LOST)]


# --- drains


def test_drain_two() -> None:
    of = job(group(count=10))
    rows = [alloc(of, n, desired_transition=MIGRATE if n < 2 else None) for n in range(10)]
    out = Picture(of, *rows, draining(0), draining(1), nodes=12).evaluate(of, "node-drain")
    assert names(out) == [0, 1] and updates(out) == {"migrate": 2, "ignore": 8}
    assert set(stops(out).values()) == {MIGRATING}
    assert all(one.allocation.node_id not in ("node-00000", "node-00001") for one in out.placed)


def test_drain_scale_down() -> None:
    of = job(group(count=8))
    rows = [alloc(of, n, desired_transition=MIGRATE if n < 3 else None) for n in range(10)]
    out = Picture(of, *rows, *(draining(n) for n in range(3)), nodes=12).evaluate(of, "node-drain")
    assert names(out) == [0] and len(out.stopped) == 3 and updates(out) == {"migrate": 1, "stop": 2, "ignore": 7}


def test_drain_unmarked() -> None:
    of = job(group(count=1))
    out = Picture(of, alloc(of, 0), draining(0), nodes=2).evaluate(of, "node-drain")
    assert updates(out) == {"ignore": 1} and not out.has_plan


def batch(count: int, policy: ReschedulePolicy = BATCH_POLICY) -> Job:
    return job(group(count=count, reschedule_policy=policy, migrate=None), type="batch")


def test_batch_migrate_disable_placement() -> None:
    of = batch(10)
    rows = [alloc(of, n, desired_transition=NEVER_AGAIN if n < 2 else None) for n in range(10)]
    out = Picture(of, *rows, draining(0), draining(1), nodes=12).evaluate(of, "node-drain")
    assert not out.placed and len(out.stopped) == 2 and updates(out) == {"stop": 2, "ignore": 8}


def test_batch_drained_still_running() -> None:
    of = batch(10)
    gone = {"desired_transition": NEVER_AGAIN, "desired_status": "stop"}
    rows = [alloc(of, n, **(gone if n < 2 else {})) for n in range(10)]
    out = Picture(of, *rows, draining(0), draining(1), nodes=12).evaluate(of)
    assert not out.has_plan and updates(out) == {"ignore": 10}


def test_batch_alloc_stop_reschedule() -> None:
    of = batch(2, replace(BATCH_POLICY, delay=HOUR))
    wanted = DesiredTransition(migrate=True, reschedule=True)
    out = Picture(of, *allocs(of, range(2), desired_transition=wanted, modify_time=NOW), nodes=4).evaluate(
        of, "alloc-stop"
    )
    assert len(out.stopped) == 2 and not out.placed
    assert [one.triggered_by for one in out.created] == ["alloc-reschedule"]
    assert {one.followup_eval_id for one in out.stopped} == {out.created[0].id}


def test_failed_deployment_tainted() -> None:
    of = job(group(count=10, update=UPDATE))
    deployment = rolling(of, "failed", g=DeploymentState(desired_total=10))
    rows = [alloc(of, n, **in_deployment(of, healthy=True)) for n in range(10)]
    rows[1] = replace(rows[1], desired_transition=MIGRATE)
    out = Picture(of, deployment, *rows, down(0), draining(1), nodes=12).evaluate(of, "node-update")
    assert len(out.placed) == 2 and len(out.stopped) == 2


def test_node_drain_canary() -> None:
    old = job(group(count=10, update=CANARY))
    new = newer(old, group(count=10, update=CANARY, tasks=(task(env={"A": "2"}),)))
    canaries = [
        alloc(new, n, f"node-{20 + n:05d}", desired_transition=MIGRATE, **in_deployment(new, canary=True))
        for n in range(2)
    ]
    state = DeploymentState(desired_total=10, desired_canaries=2, placed_canaries=tuple(one.id for one in canaries))
    picture = Picture(old, *allocs(old, range(10)), rolling(new, g=state), *canaries, nodes=20)
    picture.put(new, draining(20), draining(21))
    out = picture.evaluate(new, "node-drain")
    assert names(out) == [0, 1] and updates(out) == {"canary": 2, "ignore": 10}
    assert stops(out) == {one.id: MIGRATING for one in canaries}
    assert all(one.allocation.deployment_status.canary for one in out.placed)  # type: ignore[union-attr]


def test_nowhere_to_go_is_stopped_all_the_same() -> None:
    of = job(group(count=1))
    out = Picture(of, alloc(of, 0, desired_transition=MIGRATE), draining(0)).evaluate(of, "node-drain")
    assert stops(out) == {"alloc-g-0-00000": MIGRATING} and [one.status for one in out.created] == ["blocked"]


# --- rescheduling


def tracked(*events: tuple[int, int], last: str = "ok") -> RescheduleTracker:
    """Events of (how long ago, delay)."""
    made = tuple(
        RescheduleEvent(delay=wait, reschedule_time=NOW - ago, prev_node_id="node-00009") for ago, wait in events
    )
    return RescheduleTracker(events=made, last_reschedule=last)


def test_resched_later_batch() -> None:
    of = batch(4, ReschedulePolicy(attempts=3, interval=24 * HOUR, delay=15 * SECOND, delay_function="constant"))
    rows = [alloc(of, n, next_allocation=f"alloc-g-0-{n + 4:05d}", **ended(NOW - HOUR)) for n in range(2)]
    rows += [alloc(of, 2, **ended(NOW)), alloc(of, 3)]
    rows += [alloc(of, n, number=n + 4, reschedule_tracker=tracked((HOUR, 15 * SECOND))) for n in range(2)]
    out = Picture(of, *rows, nodes=8).evaluate(of, "alloc-failure")
    (later,) = out.created
    assert not out.placed and updates(out) == {"ignore": 4, "reschedule_later": 1}
    assert later.wait_until == to_rfc3339(NOW + 15 * SECOND) and later.triggered_by == "alloc-reschedule"
    assert later.status_description == "created for delayed rescheduling" and later.previous_eval == out.evaluation.id
    assert [(one.id, one.followup_eval_id) for one in out.updated] == [("alloc-g-0-00002", later.id)]
    assert out.evaluation.next_eval == later.id and out.evaluation.status == "complete"


def test_resched_later_batched() -> None:
    of = batch(10, replace(BATCH_POLICY, delay=15 * SECOND))
    rows = allocs(of, range(5), **ended(NOW)) + allocs(of, (5, 6), **ended(NOW + 10 * SECOND)) + allocs(of, (7, 8, 9))
    out = Picture(of, *rows, nodes=10).evaluate(of, "alloc-failure")
    assert [(one.triggered_by, one.wait_until) for one in out.created] == [
        ("alloc-reschedule", to_rfc3339(NOW + 15 * SECOND)),
        ("alloc-failure", to_rfc3339(NOW + 25 * SECOND)),
    ]
    assert updates(out)["reschedule_later"] == 7
    assert [one.followup_eval_id for one in out.updated] == [out.created[0].id] * 5 + [out.created[1].id] * 2


def test_resched_now_batch() -> None:
    of = batch(1, replace(BATCH_POLICY, attempts=3))
    failed = alloc(of, 0, reschedule_tracker=tracked((2 * HOUR, 5 * SECOND)), **ended(NOW - HOUR))
    out = Picture(of, failed, nodes=2).evaluate(of, "alloc-failure")
    (placed,) = out.placed
    tracker = placed.allocation.reschedule_tracker
    assert names(out) == [0] and stops(out) == {failed.id: ""} and out.stopped[0].last_reschedule == "ok"
    assert tracker is not None and tracker.events is not None and tracker.last_reschedule == "ok"
    assert [one.prev_alloc_id for one in tracker.events] == ["", failed.id]
    assert placed.allocation.node_id == "node-00001", "not where it failed"


def service(count: int, **policy: Any) -> Job:
    wanted = {"attempts": 1, "interval": 24 * HOUR, "delay": 15 * SECOND, "delay_function": "constant", **policy}
    return job(group(count=count, reschedule_policy=ReschedulePolicy(**wanted)))


def failed_and_stopped(of: Job, failed_at: int) -> list[Any]:
    rows = [alloc(of, n, f"node-{n:05d}") for n in range(5)]
    rows[1] = alloc(of, 1, **ended(failed_at))
    rows[4] = replace(rows[4], desired_status="stop")
    return rows


def test_resched_later_service() -> None:
    of = service(5)
    out = Picture(of, *failed_and_stopped(of, NOW), nodes=6).evaluate(of, "alloc-failure")
    assert names(out) == [4] and updates(out) == {"place": 1, "ignore": 4, "reschedule_later": 1}
    assert [one.id for one in out.updated] == ["alloc-g-0-00001"]


def test_service_failed_desired_stop() -> None:
    of = service(1)
    out = Picture(of, alloc(of, 0, desired_status="stop", **ended(NOW - HOUR)), nodes=2).evaluate(of)
    assert names(out) == [0] and not out.placed[0].allocation.previous_allocation
    assert out.placed[0].allocation.reschedule_tracker is None


def test_resched_now_service() -> None:
    of = service(5, delay=5 * SECOND)
    out = Picture(of, *failed_and_stopped(of, NOW - MINUTE), nodes=6).evaluate(of, "alloc-failure")
    assert names(out) == [1, 4] and list(stops(out)) == ["alloc-g-0-00001"]
    assert [one.allocation.previous_allocation for one in out.placed] == ["alloc-g-0-00001", ""]


def test_resched_eval_id_match() -> None:
    of = service(1)
    picture = Picture(of, alloc(of, 0, followup_eval_id="mine", **ended(NOW + MINUTE)), nodes=2)
    assert names(picture.evaluate(of, "alloc-reschedule", id="mine")) == [0]
    assert names(picture.evaluate(of, "alloc-reschedule", id="other")) == []


def test_resched_attempts_used() -> None:
    of = service(1)
    failed = alloc(of, 0, reschedule_tracker=tracked((HOUR, 15 * SECOND)), **ended(NOW - MINUTE))
    out = Picture(of, failed, nodes=2).evaluate(of, "alloc-failure")
    assert not out.has_plan and not out.created and updates(out) == {"ignore": 1}


def test_resched_disabled() -> None:
    of = service(1, attempts=0)
    out = Picture(of, alloc(of, 0, **ended(NOW - HOUR)), nodes=2).evaluate(of, "alloc-failure")
    assert not out.has_plan and updates(out) == {"ignore": 1}


def test_resched_already_replaced() -> None:
    of = service(2)
    rows = [alloc(of, 0, next_allocation="alloc-g-0-00007", **ended(NOW - HOUR)), alloc(of, 0, number=7)]
    out = Picture(of, *rows, nodes=3).evaluate(of)
    assert names(out) == [1] and not out.stopped


def test_resched_fibonacci() -> None:
    policy = ReschedulePolicy(delay=5 * SECOND, delay_function="fibonacci", max_delay=HOUR, unlimited=True)
    events = tracked((30 * MINUTE, 5 * SECOND), (20 * MINUTE, 5 * SECOND), (10 * MINUTE, 10 * SECOND)).events or ()
    assert delay(policy, events, NOW) == 15 * SECOND
    assert delay(policy, events[:1], NOW) == 5 * SECOND


def test_resched_max_delay() -> None:
    policy = ReschedulePolicy(delay=5 * SECOND, delay_function="exponential", max_delay=MINUTE, unlimited=True)
    assert delay(policy, tracked((40 * SECOND, 40 * SECOND)).events or (), NOW) == MINUTE
    assert delay(policy, tracked((HOUR, 40 * SECOND)).events or (), NOW) == 5 * SECOND, "it ran long enough"
    assert delay(policy, tracked((40 * SECOND, 20 * SECOND)).events or (), NOW) == 40 * SECOND


def test_resched_unlimited_keeps_5() -> None:
    of = job(group())
    failed = alloc(of, 0, reschedule_tracker=tracked(*((HOUR, 30 * SECOND) for _ in range(7))), **ended(NOW))
    assert len(tracker_after(failed, of.group("g"), NOW).events or ()) == 6


def test_resched_tracker_prunes_interval() -> None:
    of = service(1, attempts=2, interval=HOUR)
    failed = alloc(of, 0, reschedule_tracker=tracked((2 * HOUR, 1), (10 * MINUTE, 2)), **ended(NOW))
    events = tracker_after(failed, of.group("g"), NOW).events or ()
    assert [(one.delay, one.prev_alloc_id) for one in events] == [(2, ""), (15 * SECOND, failed.id)]


def test_resched_no_node() -> None:
    of = service(1, delay=5 * SECOND)
    failed = alloc(of, 0, **ended(NOW - HOUR))
    picture = Picture(of, failed, node(0, cpu=50))
    out = picture.evaluate(of, "alloc-failure")
    assert not out.stopped and not out.placed and [one.status for one in out.created] == ["blocked"]
    assert [(one.id, one.last_reschedule) for one in out.updated] == [(failed.id, "no placement")]
    picture.apply(out)
    picture.put(node(0))
    (blocked,) = out.created
    again = picture.evaluate(of, blocked.triggered_by, id=blocked.id, status="blocked")
    (placed,) = again.placed
    assert placed.allocation.previous_allocation == failed.id and again.evaluation.status == "complete"
    assert placed.allocation.reschedule_tracker is not None
    assert [one.prev_alloc_id for one in placed.allocation.reschedule_tracker.events or ()] == [failed.id]


def test_resched_force() -> None:
    of = service(1)
    forced = DesiredTransition(force_reschedule=True)
    failed = alloc(of, 0, reschedule_tracker=tracked((HOUR, 1)), desired_transition=forced, **ended(NOW))
    assert names(Picture(of, failed, nodes=2).evaluate(of)) == [0]


def test_resched_allowed_by_watcher() -> None:
    of = job(group(count=10, update=UPDATE))
    deployment = rolling(of, g=DeploymentState(desired_total=10, placed_allocs=10))
    rows = [
        alloc(of, n, desired_transition=RESCHEDULE if n < 5 else None, **in_deployment(of), **ended(NOW - HOUR))
        for n in range(10)
    ]
    out = Picture(of, deployment, *rows, nodes=10).evaluate(of, "deployment-watcher")
    assert names(out) == [0, 1, 2, 3, 4] and len(out.stopped) == 5 and updates(out) == {"place": 5, "ignore": 5}


def test_resched_failed_deployment() -> None:
    of = job(group(count=4, update=UPDATE))
    deployment = rolling(of, "failed", g=DeploymentState(desired_total=4, placed_allocs=4))
    rows = [alloc(of, n, **in_deployment(of), **(ended(NOW - HOUR) if n < 2 else {})) for n in range(4)]
    out = Picture(of, deployment, *rows, nodes=6).evaluate(of, "deployment-watcher")
    assert not out.placed and not out.stopped


def canarying(count: int = 5) -> tuple[Job, Job, list[Any], Any]:
    old = job(group(count=count, update=CANARY))
    new = newer(old, group(count=count, update=CANARY, tasks=(task(env={"A": "2"}),)))
    canaries = [alloc(new, n, f"node-{20 + n:05d}", **in_deployment(new, canary=True)) for n in range(2)]
    state = DeploymentState(desired_total=count, desired_canaries=2, placed_canaries=tuple(one.id for one in canaries))
    return old, new, canaries, rolling(new, g=state)


def test_resched_with_canaries() -> None:
    old, new, canaries, deployment = canarying()
    rows = [alloc(old, n, **(ended(NOW - HOUR) if n in (1, 4) else {})) for n in range(5)]
    picture = Picture(old, *rows, *canaries, deployment, nodes=25)
    picture.put(new)
    out = picture.evaluate(new, "alloc-failure")
    assert names(out) == [1, 4] and [one.job_version for one in out.placed] == [0, 0]
    assert all(not one.allocation.deployment_id for one in out.placed)
    assert list(stops(out)) == ["alloc-g-0-00001", "alloc-g-0-00004"]


def test_resched_canary() -> None:
    old, new, canaries, deployment = canarying()
    failed = [replace(one, desired_transition=RESCHEDULE, **ended(NOW - HOUR)) for one in canaries]
    picture = Picture(old, *allocs(old, range(5)), *failed, deployment, nodes=25)
    picture.put(new)
    out = picture.evaluate(new, "deployment-watcher")
    assert names(out) == [0, 1] and all(one.allocation.deployment_status.canary for one in out.placed)  # type: ignore[union-attr]
    assert {one.allocation.deployment_id for one in out.placed} == {deployment.id}


def test_an_unlimited_policy_waits_half_a_minute_first() -> None:
    of = job(group(reschedule_policy=SERVICE_POLICY))
    out = Picture(of, alloc(of, 0, **ended(NOW)), nodes=2).evaluate(of, "alloc-failure")
    assert [one.wait_until for one in out.created] == [to_rfc3339(NOW + 30 * SECOND)]


def test_a_failed_one_that_found_no_place_is_not_marked_twice() -> None:
    of = service(1, delay=5 * SECOND)
    failed = alloc(of, 0, reschedule_tracker=RescheduleTracker(last_reschedule="no placement"), **ended(NOW - HOUR))
    out = Picture(of, failed, node(0, cpu=50)).evaluate(of, "alloc-failure")
    assert not out.updated


def test_drain_moves_a_whole_job_in_rounds() -> None:
    of = job(group(count=4, tasks=(task(resources=Resources(cpu=900, memory_mb=64)),)))
    picture = Picture(of, *allocs(of, range(4)), nodes=8)
    picture.put(*(draining(n) for n in range(4)))
    for number in range(4):
        row = picture.view.get(ALLOCATIONS, f"alloc-g-0-{number:05d}")
        picture.put(replace(row, desired_transition=MIGRATE))
        picture.apply(picture.evaluate(of, "node-drain"))
    live = [one for one in picture.view.scan(ALLOCATIONS) if not one.is_terminal]
    assert sorted(one.name for one in live) == [f"j.g[{n}]" for n in range(4)]
    assert all(one.node_id >= "node-00004" for one in live)
