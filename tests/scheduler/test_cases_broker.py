"""The named cases of the broker, blocked evaluations, plans and workers (the last part of the scheduler's case list)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.apply.world import World
from tests.scheduler.picture import Picture, group, job, node
from tests.scheduler.test_blocked import unblock, waiting
from tests.scheduler.test_broker import evaluation
from tests.scheduler.test_planner import RESOURCES, look, names, placement, plan
from yurt.fsm import commands as c
from yurt.fsm import commands_nodes as n
from yurt.fsm.store.schema import ALLOCATIONS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.plan import AllocationChange, AllocationStop
from yurt.fsm.structs.times import to_rfc3339
from yurt.scheduler.conclude import ATTEMPTS, exhausted
from yurt.scheduler.duties.blocked import Blocked
from yurt.scheduler.duties.broker import DELIVERY_LIMIT, Broker


def taken(broker: Broker, now: float = 0.0) -> list[str]:
    found = []
    while (one := broker.dequeue(now)) is not None:
        found.append(one.id)
    return found


def filled(*given: Any) -> Broker:
    broker = Broker()
    for one in given:
        broker.enqueue(one, 0)
    return broker


# --- broker


def test_broker_priority() -> None:
    broker = filled(*(evaluation(number, priority=priority) for number, priority in ((1, 10), (2, 30), (3, 20))))
    assert taken(broker) == ["e2", "e3", "e1"]


def test_broker_fifo() -> None:
    broker = filled(*(evaluation(number) for number in reversed(range(100))))
    assert taken(broker) == [f"e{number}" for number in range(100)]


def test_broker_pending_order() -> None:
    first = evaluation(1, job="web")
    others = [replace(evaluation(number, job="web"), modify_index=number) for number in (4, 6, 5)]
    broker = filled(first, *others)
    assert taken(broker) == ["e1"]
    cancelable = [one.id for one in broker.ack("e1")]
    assert taken(broker) == ["e6"] and sorted(cancelable) == ["e4", "e5"]


def test_broker_namespace() -> None:
    broker = filled(evaluation(1, job="web"), replace(evaluation(2, job="web"), namespace="other"))
    assert taken(broker) == ["e1", "e2"]


def test_broker_delivery_limit() -> None:
    broker, now = filled(evaluation(1)), 0.0
    for _ in range(DELIVERY_LIMIT):
        while broker.dequeue(now) is None:
            now += 1
        broker.nack("e1", now)
    assert DELIVERY_LIMIT == 3 and [one.id for one in broker.failed] == ["e1"] and taken(broker, now + 10_000) == []


def test_broker_nack_timeout() -> None:
    broker = filled(evaluation(1))
    assert taken(broker) == ["e1"]
    assert taken(broker, 59.9) == []
    assert broker.dequeue(60.0) is None and taken(broker, 62) == ["e1"]
    assert broker.counts()["unacked"] == 1


def test_broker_wait() -> None:
    broker = filled(evaluation(1, wait=5_000_000_000))
    assert taken(broker, 4.9) == [] and taken(broker, 5.0) == ["e1"]


def test_broker_wait_until() -> None:
    later, sooner = (evaluation(number, wait_until=to_rfc3339(at * 10**9)) for number, at in ((1, 2), (2, 1)))
    broker = filled(later, sooner)
    assert taken(broker, 0.5) == [] and taken(broker, 1.0) == ["e2"] and taken(broker, 2.0) == ["e1"]


# --- blocked


def test_blocked_one_per_job() -> None:
    blocked = Blocked()
    for number, name in enumerate(("older", "newer")):
        blocked.block(waiting(name, create_index=10 + number, snapshot_index=10 + number))
    assert [one.id for one in blocked.duplicates] == ["older"] and blocked.counts()["blocked"] == 1


def test_blocked_class_eligible() -> None:
    blocked = Blocked()
    blocked.block(waiting("e", class_eligibility={"v1:1": True}))
    assert [one.id for one in unblock(blocked, "v1:1", "n1", 20, 0.0)] == ["e"]


def test_blocked_class_ineligible() -> None:
    blocked = Blocked()
    blocked.block(waiting("e", class_eligibility={"v1:1": False}))
    assert unblock(blocked, "v1:1", "n1", 20, 0.0) == [] and blocked.counts()["blocked"] == 1


def test_blocked_escaped() -> None:
    blocked = Blocked()
    blocked.block(waiting("e", class_eligibility={"v1:1": False}, escaped_computed_class=True))
    assert [one.id for one in unblock(blocked, "v1:1", "n1", 20, 0.0)] == ["e"]


def test_blocked_missed() -> None:
    blocked = Blocked()
    unblock(blocked, "v1:1", "n1", 1000, 0.0)
    late = waiting("e", create_index=900, snapshot_index=900, class_eligibility={"v1:1": True})
    assert blocked.block(late) is late


def test_blocked_failed_60s() -> None:
    blocked = Blocked()
    tried = waiting("e", triggered_by="max-plan-attempts")
    blocked.block(tried)
    assert blocked.unblock_tried() == [tried]


def test_blocked_untrack() -> None:
    blocked = Blocked()
    blocked.block(waiting("e"))
    blocked.untrack("default", "web")
    assert blocked.counts()["blocked"] == 0 and unblock(blocked, "v1:1", "n1", 20, 0.0) == []


# --- plans


@pytest.fixture
def world() -> World:
    made = World()
    for name in ("n1", "n2"):
        made.node(name, node_resources=RESOURCES)
    made.job()
    return made


def test_plan_partial(world: World) -> None:
    found = look(world, plan(placement("a", cpu=600), placement("b", "n2")), others=(placement("x", cpu=600),))
    assert names(found) == ["b"] and "e" not in [one.id for one in found.evaluations], "its evaluation goes round again"


def test_plan_all_at_once(world: World) -> None:
    world.job(all_at_once=True)
    full = plan(placement("a", cpu=600), placement("b", "n2"))
    assert names(look(world, full, others=(placement("x", cpu=600),))) == []


def test_plan_node_not_ready(world: World) -> None:
    world.node("n3", ready=False, node_resources=RESOURCES)
    assert world.nodes("n3").status == "initializing"
    assert names(look(world, plan(placement("a", "n3"), placement("b")))) == ["b"]


def test_plan_inplace_ineligible(world: World) -> None:
    world.do(plan(placement("a")))
    world.do(n.SetNodeEligibility(node_id="n1", eligibility="ineligible"))
    world.job(priority=60)
    command = plan(placement("b", "n2"), changed=(AllocationChange(id="a", job_version=1),))
    assert look(world, command) is command
    world.do(command)
    updated = world.alloc("a").job
    assert updated is not None and updated.version == 1


def test_plan_replace_full(world: World) -> None:
    world.do(plan(placement("old", cpu=1000)))
    command = plan(placement("new", cpu=1000), stopped=(AllocationStop(id="old"),))
    assert look(world, command) is command
    assert names(look(world, plan(placement("new", cpu=1000)))) == []


def test_plan_stopped_job(world: World) -> None:
    world.do(c.DeregisterJob(namespace="default", job_id="web", eval_id="stop"))
    world.do(plan(placement("a")))
    assert [one.id for one in world.machine.view().scan(ALLOCATIONS)] == []


# --- workers


def test_worker_wait_index() -> None:
    """What is worked on is worked on with a state that is at least as new as the evaluation: here there is one state."""
    of = job(group(count=1))
    picture = Picture(of, node(1))
    picture.put(picture.evaluation(of, modify_index=50, snapshot_index=0))
    outcome = picture.evaluate(of, modify_index=50)
    assert outcome.evaluation.snapshot_index >= 50


def test_worker_max_attempts() -> None:
    of = job(group(count=1))
    picture = Picture(of, node(1))
    outcome = exhausted(picture.view, picture.evaluation(of))
    assert ATTEMPTS["service"] == 5
    assert (outcome.evaluation.status, outcome.evaluation.status_description) == (
        "failed",
        "maximum attempts reached (5)",
    )
    (blocked,) = outcome.created
    assert (blocked.status, blocked.triggered_by) == ("blocked", "max-plan-attempts")
    assert blocked.status_description == "created due to placement conflicts"
