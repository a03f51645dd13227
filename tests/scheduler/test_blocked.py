"""Blocked evaluations: one a job, woken by class and node, no wake-up lost (spec scheduling §4)."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.fsm.structs.evaluation import Evaluation
from yurt.scheduler.duties.blocked import KEPT_SECONDS, Blocked


def waiting(eval_id: str, job_id: str = "web", **fields: Any) -> Evaluation:
    made = {"create_index": 10, "snapshot_index": 10, "status": "blocked", "type": "service", **fields}
    return Evaluation(id=eval_id, namespace="default", job_id=job_id, **made)


@pytest.mark.parametrize(
    ("fields", "woken"),
    [
        ({"class_eligibility": {"blue": True}}, True),
        ({"class_eligibility": {"blue": False}}, False),
        ({"class_eligibility": {"red": False}}, True),
        ({"class_eligibility": {"blue": False}, "escaped_computed_class": True}, True),
        ({}, True),
        ({"type": "system", "node_id": "n1"}, True),
        ({"type": "system", "node_id": "n2"}, False),
    ],
)
def test_who_is_woken_by_room_in_a_class(fields: dict[str, Any], woken: bool) -> None:
    blocked = Blocked()
    one = waiting("e", **fields)
    assert blocked.block(one) is None
    assert blocked.unblock("blue", "n1", 20, 0.0) == ([one] if woken else [])
    assert blocked.unblock("blue", "n1", 21, 0.0) == []


def test_room_that_came_while_it_was_worked_on_is_not_missed() -> None:
    blocked = Blocked()
    blocked.unblock("blue", "n1", 20, 0.0)
    late, current = waiting("e", snapshot_index=15), waiting("f", "db", snapshot_index=20)
    assert blocked.block(late) is late and blocked.block(current) is None
    assert blocked.block(waiting("g", "api", snapshot_index=15, class_eligibility={"blue": False})) is None
    blocked.prune(KEPT_SECONDS + 1)
    assert blocked.block(waiting("h", "old", snapshot_index=15)) is None


@pytest.mark.parametrize(("first", "second", "needless"), [(10, 20, "a"), (20, 10, "b")])
def test_the_older_of_two_is_needless(first: int, second: int, needless: str) -> None:
    blocked = Blocked()
    for name, seen in (("a", first), ("b", second)):
        blocked.block(waiting(name, create_index=1, snapshot_index=seen))
    assert [one.id for one in blocked.duplicates] == [needless]
    assert [one.id for one in blocked.unblock("x", "n", 30, 0.0)] == ["b" if needless == "a" else "a"]


def test_a_system_job_waits_on_several_nodes() -> None:
    blocked = Blocked()
    for node in ("n1", "n2"):
        blocked.block(waiting(node, type="system", node_id=node))
    assert not blocked.duplicates and blocked.counts()["blocked"] == 2
    blocked.untrack("default", "web")
    assert blocked.counts()["blocked"] == 0


def test_only_the_waiting_one_is_forgotten() -> None:
    blocked = Blocked()
    blocked.block(waiting("a"))
    blocked.forget(waiting("other"))
    assert blocked.counts()["blocked"] == 1
    blocked.forget(waiting("a"))
    assert blocked.counts()["blocked"] == 0


def test_those_that_tried_too_often_wait_for_time_not_for_room() -> None:
    blocked = Blocked()
    blocked.unblock("blue", "n1", 20, 0.0)
    tried = waiting("e", triggered_by="max-plan-attempts", snapshot_index=15)
    assert blocked.block(tried) is None
    assert blocked.unblock_tried() == [tried] and blocked.unblock_tried() == []
