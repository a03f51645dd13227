"""Nodes that cannot be reached, and what happens when they are back, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scheduler.picture import (
    BATCH_POLICY,
    MINUTE,
    NOW,
    SERVICE_POLICY,
    Picture,
    alloc,
    allocs,
    ended,
    group,
    job,
    names,
    newer,
    node,
    stops,
    task,
    unknown,
    updates,
)
from yurt.fsm.structs.allocation import TaskState
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import AllocMetric, ScoreMeta
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import Disconnect, ReschedulePolicy
from yurt.fsm.structs.times import SECOND, to_rfc3339

AT_ONCE = ReschedulePolicy(attempts=2, interval=60 * MINUTE, delay=0, delay_function="constant")
FIVE = Disconnect(lost_after=5 * MINUTE)
LOST = "alloc is lost since its node is down"
NOT_NEEDED = "alloc not needed due to job update"
RECONNECTED = "alloc not needed due to disconnected client reconnect"


def away(number: int, status: str = "disconnected") -> Any:
    return node(number, status=status)


def service(count: int, disconnect: Disconnect | None = FIVE, policy: ReschedulePolicy = AT_ONCE, **fields: Any) -> Job:
    return job(group(count=count, disconnect=disconnect, reschedule_policy=policy, **fields))


def test_disc_to_unknown() -> None:
    of = service(5)
    rows = [alloc(of, 0), alloc(of, 1), *allocs(of, (2, 3, 4))]
    picture = Picture(of, *rows, away(0), away(1), nodes=8)
    picture.put(away(0), away(1))
    out = picture.evaluate(of, "node-update")
    assert [(one.client_status, one.client_description) for one in out.updated] == [
        ("unknown", "alloc is unknown since its node is disconnected")
    ] * 2
    assert all(one.alloc_state is not None and one.alloc_state.time == to_rfc3339(NOW) for one in out.updated)
    assert names(out) == [0, 1] and not out.stopped
    assert updates(out) == {"disconnect": 2, "reschedule_now": 2, "place": 2, "ignore": 3}
    (timeout,) = out.created
    assert timeout.triggered_by == "max-disconnect-timeout" and timeout.wait_until == to_rfc3339(NOW + 5 * MINUTE)
    assert timeout.status_description == "created for delayed disconnect timeout"


def test_disc_replaced_after_the_reschedule_delay() -> None:
    of = service(2, policy=SERVICE_POLICY)
    picture = Picture(of, *allocs(of, range(2)), nodes=4)
    picture.put(away(0))
    out = picture.evaluate(of, "node-update")
    assert not out.placed and [one.triggered_by for one in out.created] == [
        "alloc-reschedule",
        "max-disconnect-timeout",
    ]
    later, timeout = out.created
    assert later.wait_until == to_rfc3339(NOW + 30 * SECOND) and out.updated[0].followup_eval_id == later.id
    picture.apply(out)
    picture.now_ns += 10 * SECOND
    assert not picture.evaluate(of, "node-update").has_plan, "its place is kept"
    picture.now_ns += 20 * SECOND
    again = picture.evaluate(of, "alloc-reschedule", id=later.id, wait_until=later.wait_until)
    assert names(again) == [0] and not again.stopped
    picture.apply(again)
    picture.now_ns += 5 * MINUTE
    last = picture.evaluate(of, "max-disconnect-timeout", id=timeout.id, wait_until=timeout.wait_until)
    assert stops(last) == {"alloc-g-0-00000": LOST} and not last.placed


def test_disc_no_lost_after() -> None:
    of = service(1, None)
    picture = Picture(of, alloc(of, 0), nodes=2)
    picture.put(away(0))
    out = picture.evaluate(of, "node-update")
    assert [(one.client_status, one.description) for one in out.stopped] == [("lost", LOST)] and names(out) == [0]


def test_disc_pending_is_lost() -> None:
    of = service(1)
    picture = Picture(of, alloc(of, 0, client_status="pending"), nodes=2)
    picture.put(away(0))
    assert [one.client_status for one in picture.evaluate(of, "node-update").stopped] == ["lost"]


def test_disc_replace_false() -> None:
    of = service(1, replace(FIVE, replace=False))
    picture = Picture(of, alloc(of, 0), nodes=2)
    picture.put(away(0))
    out = picture.evaluate(of, "node-update")
    (timeout,) = out.created
    assert not out.placed and out.updated[0].followup_eval_id == timeout.id
    assert timeout.triggered_by == "max-disconnect-timeout"


def test_disc_timeout() -> None:
    of = service(1, policy=replace(AT_ONCE, attempts=0))
    picture = Picture(of, alloc(of, 0, **unknown(NOW - 5 * MINUTE)), nodes=2)
    picture.put(away(0))
    out = picture.evaluate(of, "max-disconnect-timeout")
    assert [(one.client_status, one.description) for one in out.stopped] == [("lost", LOST)] and names(out) == [0]


def test_disc_down_replace_false() -> None:
    of = service(1, replace(FIVE, replace=False))
    picture = Picture(of, alloc(of, 0), nodes=2)
    picture.put(away(0, "down"))
    out = picture.evaluate(of, "node-update")
    assert [one.client_status for one in out.updated] == ["unknown"] and not out.stopped and not out.placed


# --- back again


def test_reconn_no_replacement() -> None:
    of = service(2)
    out = Picture(of, *allocs(of, range(2), **unknown(NOW - MINUTE, "running")), nodes=2).evaluate(of, "reconnect")
    assert updates(out) == {"reconnect": 2, "ignore": 2} and not out.stopped and not out.placed
    assert [one.alloc_state.value for one in out.updated if one.alloc_state] == ["running"] * 2


def scored(value: float) -> AllocMetric:
    return AllocMetric(score_meta_data=(ScoreMeta(node_id="n", norm_score=value),))


def started(ago_ns: int, *tasks: str) -> dict[str, TaskState]:
    return {name: TaskState(state="running", started_at=to_rfc3339(NOW - ago_ns)) for name in tasks or ("t",)}


def back(
    of: Job, original: dict[str, Any], replacement: dict[str, Any], newer_job: Job | None = None
) -> dict[str, str]:
    """What ends when an original is back beside its replacement."""
    rows = [
        alloc(of, 0, "node-00000", next_allocation="second", **unknown(NOW - MINUTE, "running"), **original),
        alloc(
            newer_job or of,
            0,
            "node-00001",
            **{"id": "second", "previous_allocation": "alloc-g-0-00000", **replacement},
        ),
    ]
    picture = Picture(of, *rows, nodes=3)
    return stops(picture.evaluate(of, "reconnect"))


def test_reconn_best_score_replacement() -> None:
    of = service(1)
    assert back(of, {"metrics": scored(0.3)}, {"metrics": scored(0.5)}) == {"alloc-g-0-00000": NOT_NEEDED}
    assert back(of, {"metrics": scored(0.5)}, {"metrics": scored(0.5)}) == {"second": RECONNECTED}
    assert back(of, {"metrics": scored(0.3)}, {"metrics": scored(0.5), "client_status": "pending"}) == {
        "second": RECONNECTED
    }


@pytest.mark.parametrize(("strategy", "loser"), [("keep_replacement", "alloc-g-0-00000"), ("keep_original", "second")])
def test_reconn_keep_replacement(strategy: str, loser: str) -> None:
    of = service(1, replace(FIVE, reconcile=strategy))
    assert list(back(of, {"metrics": scored(0.4)}, {"metrics": scored(0.4)})) == [loser]


def test_reconn_longest_running() -> None:
    of = service(1, replace(FIVE, reconcile="longest_running"))
    assert list(back(of, {"task_states": started(60 * MINUTE)}, {"task_states": started(MINUTE)})) == ["second"]
    assert list(back(of, {"task_states": started(MINUTE)}, {"task_states": started(60 * MINUTE)})) == [
        "alloc-g-0-00000"
    ]
    assert list(back(of, {}, {"task_states": started(MINUTE)})) == ["alloc-g-0-00000"], "what never started loses"
    led = service(1, replace(FIVE, reconcile="longest_running"), tasks=(task(), task(name="boss", leader=True)))
    original = {"t": started(60 * MINUTE)["t"], **started(MINUTE, "boss")}
    replacement = {"t": started(MINUTE)["t"], **started(60 * MINUTE, "boss")}
    assert list(back(led, {"task_states": original}, {"task_states": replacement})) == ["alloc-g-0-00000"]


def test_reconn_newer_version() -> None:
    old = service(1, replace(FIVE, reconcile="keep_original"))
    new = newer(old, priority=60)
    rows = [
        alloc(old, 0, "node-00000", next_allocation="second", **unknown(NOW - MINUTE, "running")),
        alloc(new, 0, "node-00001", id="second"),
    ]
    picture = Picture(old, *rows, nodes=3)
    picture.put(new)
    assert list(stops(picture.evaluate(new, "reconnect"))) == ["alloc-g-0-00000"]


def test_reconn_failed_not_replaced() -> None:
    of = service(2)
    rows = allocs(of, range(2), **{**ended(NOW), **unknown(NOW - MINUTE, "failed")})
    out = Picture(of, *rows, nodes=4).evaluate(of, "reconnect")
    assert len(out.stopped) == 2 and names(out) == [0, 1]


def test_reconn_complete() -> None:
    of = job(group(count=1, disconnect=FIVE, reschedule_policy=BATCH_POLICY), type="batch")
    done = {**ended(NOW, failed=False), **unknown(NOW - MINUTE, "complete")}
    out = Picture(of, alloc(of, 0, **done), nodes=2).evaluate(of, "reconnect")
    assert not out.has_plan


def test_reconn_updates_job() -> None:
    old = service(1)
    new = newer(old, priority=60)
    picture = Picture(old, alloc(old, 0, **unknown(NOW - MINUTE, "running")), nodes=2)
    picture.put(new)
    out = picture.evaluate(new, "reconnect")
    assert stops(out) == {"alloc-g-0-00000": NOT_NEEDED} and names(out) == [0]


def test_an_unknown_one_waits_for_its_client_though_the_node_is_back() -> None:
    of = service(1, policy=SERVICE_POLICY)
    out = Picture(of, alloc(of, 0, followup_eval_id="later", **unknown(NOW - MINUTE)), nodes=2).evaluate(
        of, "node-update"
    )
    assert not out.has_plan


def test_stop_after_client() -> None:
    of = service(2, Disconnect(stop_on_client_after=5 * SECOND))
    picture = Picture(of, *allocs(of, range(2)), nodes=4)
    picture.put(away(0, "down"))
    out = picture.evaluate(of, "node-update")
    (later,) = out.created
    assert (
        not out.placed and later.triggered_by == "alloc-failure" and later.wait_until == to_rfc3339(NOW + 10 * SECOND)
    )
    assert [(one.client_status, one.followup_eval_id) for one in out.stopped] == [("lost", later.id)]
    picture.apply(out)
    assert not picture.evaluate(of, "node-update").placed
    picture.now_ns += 10 * SECOND
    last = picture.evaluate(of, "alloc-failure", id=later.id, wait_until=later.wait_until)
    assert names(last) == [0] and last.placed[0].allocation.previous_allocation == ""
