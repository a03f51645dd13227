"""Blocked evaluations: one a job, woken by class and node, no wake-up lost (spec scheduling §4)."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.fsm.structs.evaluation import Evaluation
from yurt.scheduler.duties.blocked import KEPT_SECONDS, Blocked


def waiting(eval_id: str, job_id: str = "web", **fields: Any) -> Evaluation:
    made = {"create_index": 10, "snapshot_index": 10, "status": "blocked", "type": "service", **fields}
    return Evaluation(id=eval_id, namespace="default", job_id=job_id, **made)


def unblock(blocked: Blocked, *room: Any) -> list[Evaluation]:
    """All that wake for some room: class, node, index, time."""
    blocked.free(*room)
    return [one for one in blocked.unblock() if one is not None]


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
    assert unblock(blocked, "blue", "n1", 20, 0.0) == ([one] if woken else [])
    assert unblock(blocked, "blue", "n1", 21, 0.0) == []


def test_room_that_came_while_it_was_worked_on_is_not_missed() -> None:
    blocked = Blocked()
    unblock(blocked, "blue", "n1", 20, 0.0)
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
    assert [one.id for one in unblock(blocked, "x", "n", 30, 0.0)] == ["b" if needless == "a" else "a"]


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
    unblock(blocked, "blue", "n1", 20, 0.0)
    tried = waiting("e", triggered_by="max-plan-attempts", snapshot_index=15)
    assert blocked.block(tried) is None
    assert blocked.unblock_tried() == [tried] and blocked.unblock_tried() == []


def test_all_that_wait_are_looked_at_one_a_step_for_the_room_of_a_whole_commit() -> None:
    blocked = Blocked()
    for number in range(100):
        blocked.block(waiting(f"e{number}", f"job{number}", class_eligibility={"blue": number % 2 == 0, "red": False}))
    for node in range(50):
        blocked.free("blue" if node % 2 else "red", f"n{node}", 20, 0.0)
    found = list(blocked.unblock())
    assert len(found) == 100
    assert len([one for one in found if one is not None]) == 50
    assert not blocked.has_room


def test_room_that_comes_during_a_pass_or_that_a_pass_left_is_looked_at_too() -> None:
    blocked = Blocked()
    for name in ("red", "blue"):
        blocked.block(waiting(name, name, class_eligibility={name: True, "red": name == "red", "blue": name == "blue"}))
    blocked.free("red", "n1", 20, 0.0)
    steps = blocked.unblock()
    first = next(steps)
    assert first is not None
    assert first.id == "red"
    blocked.free("blue", "n2", 21, 0.0)
    blocked.block(waiting("again", "red", snapshot_index=20, class_eligibility={"red": True, "blue": False}))
    assert [one.id for one in steps if one is not None] == ["blue"], "what has seen the room is not woken by it"
    assert unblock(blocked, "red", "n1", 22, 0.0)

    blocked.block(waiting("last", "last", snapshot_index=22))
    blocked.block(waiting("other", "other", snapshot_index=22))
    blocked.free("red", "n1", 23, 0.0)
    broken = blocked.unblock()
    next(broken)
    broken.close()  # type: ignore[attr-defined]
    assert blocked.has_room
    assert [one.id for one in blocked.unblock() if one is not None] == ["other"]
