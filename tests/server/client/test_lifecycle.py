"""Stages of a group (spec node-agent §8)."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.fsm.structs.allocation import TaskState
from yurt.fsm.structs.task import Lifecycle as Block
from yurt.fsm.structs.task import Task
from yurt.server.client.lifecycle import Lifecycle, client_status


def task(name: str, hook: str = "", *, sidecar: bool = False) -> Task:
    return Task(name=name, lifecycle=Block(hook=hook, sidecar=sidecar) if hook else None)


ALL = (
    task("init", "prestart"), task("side", "prestart", sidecar=True), task("main"), task("after", "poststart"),
    task("late", "poststart", sidecar=True), task("clean", "poststop"),
)  # fmt: skip


def states(**given: str) -> dict[str, Any]:
    found = {one.name: TaskState(state="pending") for one in ALL}
    for name, state in given.items():
        found[name] = TaskState(state=state.removesuffix("!"), failed=state.endswith("!"))
    return found


def test_the_stages_of_a_group_with_everything() -> None:
    cycle = Lifecycle(ALL)
    assert cycle.advance(states()) == {"init", "side"}
    assert cycle.advance(states(init="dead", side="pending")) == {"init", "side"}
    assert cycle.advance(states(init="dead", side="running")) == {"side", "main"}
    assert cycle.advance(states(init="dead", side="running", main="running")) == {"side", "main", "after", "late"}
    running = {"init": "dead", "side": "running", "main": "running", "late": "running", "after": "dead"}
    assert cycle.advance(states(**running)) == {"side", "main", "late"}
    assert cycle.advance(states(**{**running, "main": "pending"})) == {"side", "main", "late"}  # it starts again
    over = dict.fromkeys(("init", "side", "main", "late", "after"), "dead")
    assert cycle.advance(states(**over)) == {"clean"}


def test_a_failed_prestart_task_lets_nothing_else_begin() -> None:
    cycle = Lifecycle(ALL)
    assert cycle.advance(states(init="dead!", side="running")) == {"init", "side"}


def test_a_group_of_main_tasks_goes_straight_on() -> None:
    cycle = Lifecycle((task("a"), task("b")))
    both = {"a": TaskState(state="pending"), "b": TaskState(state="pending")}
    assert cycle.advance(both) == {"a", "b"}


@pytest.mark.parametrize(
    ("given", "status", "text"),
    [
        ({"a": "pending"}, "pending", "No tasks have started"),
        ({"a": "running", "b": "pending"}, "running", "Tasks are running"),
        ({"a": "dead", "b": "pending"}, "pending", "No tasks have started"),
        ({"a": "dead", "b": "running"}, "running", "Tasks are running"),
        ({"a": "dead!", "b": "running"}, "failed", "Failed tasks"),
        ({"a": "running!"}, "running", "Tasks are running"),
        ({"a": "dead", "b": "dead"}, "complete", "All tasks have completed"),
    ],
)
def test_what_the_tasks_make_of_the_allocation(given: dict[str, str], status: str, text: str) -> None:
    seen = {name: TaskState(state=one.removesuffix("!"), failed=one.endswith("!")) for name, one in given.items()}
    assert client_status(seen) == (status, text)
