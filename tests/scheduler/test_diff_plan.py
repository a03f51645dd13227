"""What a plan says about the parts of a diff (spec job-model §7, scheduling §16)."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Affinity, Constraint
from yurt.fsm.structs.evaluation import DesiredUpdates, PlanAnnotations
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import ScalingPolicy
from yurt.fsm.structs.service import Service
from yurt.fsm.structs.task import DispatchPayload, LogConfig, Task
from yurt.scheduler.annotate import diff_plan

IN_PLACE, REPLACED = "forces in-place update", "forces create/destroy update"
CREATED, DESTROYED = "forces create", "forces destroy"
TASK = Task(name="t", driver="d", log_config=LogConfig())
NOTHING = PlanAnnotations()


def job(*groups: TaskGroup) -> Job:
    return Job(id="j", task_groups=groups or None)


def group(*tasks: Task, **fields: Any) -> TaskGroup:
    return TaskGroup(name="g", tasks=tasks or None, **fields)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kill_timeout": 1}, IN_PLACE),
        ({"kill_timeout": 1, "driver": "e"}, REPLACED),
        ({"env": {"A": "b"}}, REPLACED),
        ({"meta": {"A": "b"}}, REPLACED),
        ({"services": (Service(name="s"),)}, IN_PLACE),
        ({"services": (Service(name="s"),), "user": "u"}, REPLACED),
        ({"constraints": (Constraint(operand="distinct_hosts"),), "affinities": (Affinity(ltarget="a"),)}, IN_PLACE),
        ({"log_config": LogConfig(max_files=5)}, REPLACED),
        ({"dispatch_payload": DispatchPayload(file="f")}, REPLACED),
        ({"config": {"a": 1.0}}, REPLACED),
        ({"csi_plugin_config": None, "scaling_policies": (ScalingPolicy(),)}, IN_PLACE),
    ],
)
def test_what_a_changed_task_forces(changes: dict[str, Any], text: str) -> None:
    diff = diff_plan(job(group(TASK)), job(group(replace(TASK, **changes))), NOTHING)
    (task,) = (diff.task_groups or ())[0].tasks or ()
    assert (task.type, task.annotations) == ("Edited", (text,))


def test_a_task_that_stays_says_nothing() -> None:
    diff = diff_plan(job(group(TASK)), job(group(TASK, count=5)), NOTHING)
    (task,) = (diff.task_groups or ())[0].tasks or ()
    assert (task.type, task.annotations) == ("None", None)


@pytest.mark.parametrize(
    ("old", "new", "texts"),
    [
        (None, job(group(TASK)), [CREATED]),
        (job(group(TASK)), job(), [DESTROYED]),
        (job(), job(group(TASK)), [CREATED]),
        (job(group(TASK)), job(group(TASK, Task(name="u", driver="d"))), [None, REPLACED]),
        (job(group(TASK, Task(name="u", driver="d"))), job(group(TASK)), [None, REPLACED]),
    ],
)
def test_added_and_deleted_tasks(old: Job | None, new: Job, texts: list[str | None]) -> None:
    diff = diff_plan(old, new, NOTHING)
    (one,) = diff.task_groups or ()
    assert [task.annotations for task in one.tasks or ()] == [text and (text,) for text in texts]


@pytest.mark.parametrize(
    ("old", "new", "annotations"),
    [(1, 3, (CREATED,)), (3, 1, (DESTROYED,)), (None, 0, None), (None, 2, (CREATED,)), (2, None, (DESTROYED,)), (0, None, None)],
)  # fmt: skip
def test_counts(old: int | None, new: int | None, annotations: Any) -> None:
    groups = [() if count is None else (group(TASK, count=count),) for count in (old, new)]
    diff = diff_plan(job(*groups[0]), job(*groups[1]), NOTHING)
    (one,) = diff.task_groups or ()
    (count,) = [each for each in one.fields or () if each.name == "Count"]
    assert count.annotations == annotations


def test_updates_are_those_of_the_groups_that_are_planned() -> None:
    every = DesiredUpdates(
        ignore=1, place=2, migrate=3, stop=4, canary=5, in_place_update=6, destructive_update=7,
        preemptions=8, disconnect=9, reconnect=9, reschedule_now=9, reschedule_later=9,
    )  # fmt: skip
    planned = PlanAnnotations(desired_tg_updates={"g": every, "idle": DesiredUpdates()})
    old = job(group(TASK), TaskGroup(name="gone"))
    diff = diff_plan(old, job(group(TASK), TaskGroup(name="idle")), planned)
    assert {one.name: one.updates for one in diff.task_groups or ()} == {
        "g": {
            "ignore": 1, "create": 2, "migrate": 3, "destroy": 4, "canary": 5, "in-place update": 6,
            "create/destroy update": 7,
        },
        "gone": None,
        "idle": {},
    }  # fmt: skip
    assert diff_plan(old, old, NOTHING).task_groups == tuple(
        replace(one, updates=None, type="None", fields=None, objects=None)
        for one in diff_plan(old, old, planned).task_groups or ()
    )


def test_a_policy_that_says_the_same_is_the_same() -> None:
    stored = job(group(TASK, scaling=ScalingPolicy(id="x", max=5, create_index=7, modify_index=9)))
    assert diff_plan(stored, job(group(TASK, scaling=ScalingPolicy(max=5))), NOTHING).type == "None"
    changed = diff_plan(stored, job(group(TASK, scaling=ScalingPolicy(max=6))), NOTHING)
    (scaling,) = (changed.task_groups or ())[0].objects or ()
    assert [(one.name, one.old, one.new) for one in scaling.fields or ()] == [("Max", "5", "6")]
