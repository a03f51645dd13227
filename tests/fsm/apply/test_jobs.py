"""The life of a job record: versions, tags, submissions, children, scaling, purge (spec job-model §6)."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from yurt.fsm import commands as c
from yurt.fsm.machine import Applied, Machine, Refused
from yurt.fsm.store.schema import (
    EVALUATIONS,
    JOB_SUBMISSIONS,
    JOB_SUMMARIES,
    JOB_VERSIONS,
    JOBS,
    SCALING_EVENTS,
)
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import COMPLETE
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, JobSubmission, ParameterizedJob, Periodic
from yurt.fsm.structs.task import Task

KEY = ("default", "web")


class World:
    """A machine with short words for commands."""

    def __init__(self) -> None:
        self.machine, self._ids = Machine(), count(1)

    def do(self, command: c.Command) -> Any:
        outcome = self.machine.apply(c.encode(command))
        assert isinstance(outcome, Applied), outcome
        return outcome.value

    def refused(self, command: c.Command) -> tuple[int, str]:
        before = list(self.machine.write(self.machine.capture()))[1:]
        outcome = self.machine.apply(c.encode(command))
        assert isinstance(outcome, Refused), outcome
        assert list(self.machine.write(self.machine.capture()))[1:] != [] or before == []
        return outcome.status, outcome.text

    def register(self, *, priority: int = 50, job_id: str = "web", **fields: Any) -> c.JobWritten:
        extra = {name: fields.pop(name) for name in list(fields) if name in c.RegisterJob.__struct_fields__}
        job = Job(id=job_id, name=job_id, priority=priority, task_groups=fields.pop("groups", GROUPS), **fields)
        result: c.JobWritten = self.do(c.RegisterJob(job=job, eval_id=self.eval_id(), now_ns=1000, **extra))
        return result

    def eval_id(self) -> str:
        return f"eval-{next(self._ids):03d}"

    def job(self, job_id: str = "web") -> Job:
        found = self.machine.view().get(JOBS, ("default", job_id))
        assert found is not None
        return found

    def versions(self) -> list[int]:
        return [job.version for job in self.machine.view().find(JOB_VERSIONS, "job", KEY)]


GROUPS = (TaskGroup(name="g", count=0, tasks=(Task(name="t", driver="d"),)),)


def test_a_change_is_a_version_and_nothing_is_none() -> None:
    world = World()
    first = world.register()
    assert (first.index, first.eval_create_index, world.job().create_index) == (2, 2, 2)
    again = world.register()
    assert (again.index, again.job_modify_index, world.job().version) == (3, world.job().modify_index, 0)
    world.register(priority=60)
    job = world.job()
    assert (job.version, job.create_index, job.job_modify_index, job.status) == (1, 2, 4, "pending")


def test_six_untagged_versions_are_kept_and_the_newest_stable_one() -> None:
    world = World()
    for priority in range(50, 53):
        world.register(priority=priority)
    world.do(c.SetJobStability(namespace="default", job_id="web", version=1, stable=True))
    world.do(c.TagJobVersion(namespace="default", job_id="web", tag="keep", version=0, now_ns=5))
    for priority in range(60, 67):
        world.register(priority=priority)
    assert world.versions() == [0, 1, 5, 6, 7, 8, 9], "0 is tagged, 1 is the newest stable one"
    world.do(c.UntagJobVersion(namespace="default", job_id="web", tag="keep"))
    assert world.versions() == [1, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (c.TagJobVersion(namespace="default", job_id="web", tag="t", version=9), (500, 'job "web" version 9 not found')),
        (c.TagJobVersion(namespace="default", job_id="no", tag="t"), (500, 'job "no" version 0 not found')),
        (c.UntagJobVersion(namespace="default", job_id="web", tag="t"), (500, 'tag "t" not found on job "web"')),
        (c.RevertJob(namespace="default", job_id="no"), (500, 'job "no" not found')),
        (c.RevertJob(namespace="default", job_id="web", version=1), (500, "can't revert to current version")),
        (c.RevertJob(namespace="default", job_id="web", version=9), (500, 'job "web" in namespace "default" at version 9 not found')),
        (c.RevertJob(namespace="default", job_id="web", enforce_prior_version=3), (500, "Current job has version 1; enforcing version 3")),
        (c.ScaleJob(namespace="default", job_id="no", group="g"), (404, 'job "no" not found')),
        (c.ScaleJob(namespace="default", job_id="web", group="x", count=1), (400, 'task group "x" specified for scaling does not exist in job')),
        (c.ScaleJob(namespace="default", job_id="web", group="g", count=9, count_max=5), (500, "total count was greater than configured job_max_count: 9 > 5")),
        (c.ScaleJob(namespace="default", job_id="web", group="g", count=1, job_modify_index=7), (500, "Enforcing job modify index 7: job exists with conflicting job modify index: 3")),
        (c.DispatchJob(namespace="default", job_id="web", child_id="web/dispatch-1"), (500, 'Specified job "web" is not a parameterized job')),
        (c.LaunchPeriodicJob(namespace="default", job_id="web", launch_seconds=1), (500, "can't force launch non-periodic job")),
        (c.EvaluateJob(namespace="default", job_id="no", eval_id="e"), (500, "job not found")),
        (c.DeleteNamespace(name="default"), (500, "can not delete default namespace")),
        (c.DeleteNamespace(name="no"), (500, "namespace not found")),
        (c.DeleteNodePool(name="all"), (400, 'deleting node pool "all" is not allowed')),
        (c.RegisterJob(job=Job(id="web", type="batch")), (500, 'cannot update job from type "service" to "batch"')),
        (c.RegisterJob(job=Job(id="web"), enforce_index=True), (500, "Enforcing job modify index 0: job already exists")),
        (c.RegisterJob(job=Job(id="no"), enforce_index=True, job_modify_index=5), (500, "Enforcing job modify index 5: job does not exist")),
    ],
    ids=range(20),
)  # fmt: skip
def test_refusals_change_nothing_but_the_index(command: c.Command, wanted: tuple[int, str]) -> None:
    world = World()
    world.register()
    world.register(priority=60)
    index, job = world.machine.index, world.job()
    assert world.refused(command) == wanted
    assert world.machine.index == index + 1 and world.job() is job


def test_sources_belong_to_versions() -> None:
    world = World()
    world.register(submission=JobSubmission(source="a"))
    world.register(priority=60, submission=JobSubmission(source="b"))
    world.register(priority=70)
    found = {one.version: one.source for one in world.machine.view().find(JOB_SUBMISSIONS, "job", KEY)}
    assert found == {0: "a", 1: "b", 2: "a"}, "a registration without a source takes that of the payload's version"
    world.do(c.RevertJob(namespace="default", job_id="web", version=1, eval_id="r"))
    reverted = world.machine.view().get(JOB_SUBMISSIONS, (*KEY, 3))
    assert reverted is not None and reverted.source == "b"
    assert world.job().priority == 60 and not world.job().stable


def test_a_stop_is_a_version_and_a_purge_leaves_only_evaluations() -> None:
    world = World()
    world.register()
    stopped = world.do(c.DeregisterJob(namespace="default", job_id="web", eval_id="stop", now_ns=9))
    assert (world.job().stop, world.job().version, stopped.eval_id) == (True, 1, "stop")
    evaluation = world.machine.view().get(EVALUATIONS, "stop")
    assert evaluation is not None and (evaluation.type, evaluation.triggered_by) == ("service", "job-deregister")
    world.do(c.DeregisterJob(namespace="default", job_id="web", purge=True, eval_id="purge", now_ns=9))
    view = world.machine.view()
    assert view.get(JOBS, KEY) is None and view.get(JOB_SUMMARIES, KEY) is None and world.versions() == []
    statuses = {one.id: (one.status, one.status_description) for one in view.find(EVALUATIONS, "job", KEY)}
    assert statuses["eval-001"] == statuses["stop"] == ("complete", "job web deleted")
    assert statuses["purge"] == ("pending", "")


def test_children_are_counted_at_their_parent() -> None:
    world = World()
    world.register(type="batch", parameterized_job=ParameterizedJob(meta_required=("who",)), meta={"a": "1"})
    assert world.job().status == "running"
    dispatch = c.DispatchJob(
        namespace="default", job_id="web", child_id="web/dispatch-1", meta={"who": "me"}, eval_id="d", payload=b"x",
        idempotency_token="once",
    )  # fmt: skip
    made = world.do(dispatch)
    child = world.job("web/dispatch-1")
    assert (child.meta, child.payload, child.dispatched, child.status) == (
        {"a": "1", "who": "me"},
        b"x",
        True,
        "pending",
    )
    assert world.do(dispatch).child_id == made.child_id and world.do(dispatch).eval_id == ""
    children = lambda: world.machine.view().get(JOB_SUMMARIES, KEY).children  # type: ignore[union-attr]  # noqa: E731
    assert (children().pending, children().running, children().dead) == (1, 0, 0)
    evaluation = world.machine.view().get(EVALUATIONS, "d")
    world.do(c.UpdateEvaluations(evaluations=(replace(evaluation, status=COMPLETE),), now_ns=2000))
    assert (children().pending, children().dead, world.job("web/dispatch-1").status) == (0, 1, "dead")


def test_two_launches_in_a_second_are_one_child() -> None:
    world = World()
    world.register(type="batch", periodic=Periodic(specs=("@daily",)))
    for number in (1, 2):
        made = world.do(c.LaunchPeriodicJob(namespace="default", job_id="web", launch_seconds=77, eval_id=f"l{number}"))
        assert made.child_id == "web/periodic-77"
    child = world.job("web/periodic-77")
    assert (child.version, child.periodic, child.parent_id) == (1, None, "web")


def test_scaling_is_one_command_with_its_event() -> None:
    world = World()
    world.register(type="batch")
    for number in range(25):
        result = world.do(
            c.ScaleJob(namespace="default", job_id="web", group="g", count=number, eval_id=f"s{number}", now_ns=7)
        )
        assert result.job_modify_index == result.eval_create_index == result.index
    note = world.do(c.ScaleJob(namespace="default", job_id="web", group="g", message="only a note", eval_id="unused"))
    assert (note.eval_id, world.job().version) == ("", 25)
    events = world.machine.view().get(SCALING_EVENTS, KEY)
    assert events is not None
    kept = events.scaling_events["g"]
    assert len(kept) == 20 and (kept[0].message, kept[0].count) == ("only a note", None)
    assert (kept[1].count, kept[1].previous_count, kept[1].eval_id) == (24, 23, "s24")


@pytest.mark.parametrize("purge", [False, True])
def test_a_job_goes_with_its_children(purge: bool) -> None:
    world = World()
    world.register(type="batch", parameterized_job=ParameterizedJob())
    world.register(job_id="other")
    for number in range(3):
        child = f"web/dispatch-{number}"
        world.do(c.DispatchJob(namespace="default", job_id="web", child_id=child, eval_id=world.eval_id()))
    world.do(c.DeregisterJob(namespace="default", job_id="web/dispatch-0", eval_id=world.eval_id()))
    ended = world.job("web/dispatch-0")
    evaluations = len(list(world.machine.view().scan(EVALUATIONS)))
    command = c.DeregisterFamily(namespace="default", job_id="web", purge=purge, eval_id="e")
    world.do(command)
    view = world.machine.view()
    if purge:
        assert [job.id for job in view.scan(JOBS)] == ["other"]
    else:
        assert [job.id for job in view.scan(JOBS) if not job.stop] == ["other"]
        assert world.job("web/dispatch-0") == ended, "what had ended is as it was"
        made = [one for one in view.scan(EVALUATIONS) if one.triggered_by == "job-deregister"]
        assert len(list(view.scan(EVALUATIONS))) == evaluations + 2
        assert {one.job_id for one in made} == {f"web/dispatch-{number}" for number in range(3)}
    assert world.do(command).job_modify_index == (0 if purge else world.machine.index), "again is no error"
