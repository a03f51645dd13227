"""What an evaluation decides when there is no node: what ends, what waits, which deployments begin and end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.store.model import new_store
from yurt.fsm.store.schema import DEPLOYMENTS, EVALUATIONS, JOB_SUMMARIES, JOB_VERSIONS, JOBS
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import Deployment, DeploymentState
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, JobSummary, TaskGroupSummary
from yurt.fsm.structs.policies import UpdateStrategy
from yurt.fsm.structs.resources import Resources
from yurt.fsm.structs.task import Task
from yurt.scheduler import place
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.evaluate import evaluate

NOW = 1_800_000_000_000_000_000
EVAL_ID = "e0000000-0000-0000-0000-000000000001"


def a_job(*, count: int = 1, updates: bool = False, **fields: Any) -> Job:
    task = Task(name="t", driver="d")
    group = TaskGroup(name="g", count=count, tasks=(task,), update=UpdateStrategy(max_parallel=1) if updates else None)
    given: dict[str, Any] = {"type": "service", "create_index": 5, "modify_index": 5, "job_modify_index": 5, **fields}
    return Job(id="web", name="web", namespace="default", datacenters=("*",), node_pool="default", task_groups=(group,), **given)  # fmt: skip


def an_evaluation(kind: str = "service", trigger: str = "job-register", **fields: Any) -> Evaluation:
    return Evaluation(
        id=EVAL_ID, namespace="default", job_id="web", type=kind, triggered_by=trigger, priority=50,
        status=fields.pop("status", "pending"), create_index=6, modify_index=6, job_modify_index=5, **fields,
    )  # fmt: skip


def state(*rows: tuple[Any, Any]) -> View:
    store = new_store()
    transaction = store.begin(10)
    for table, row in rows:
        transaction.put(table, row)
    store.commit(transaction)
    return store.view()


def decide(job: Job | None, evaluation: Evaluation, *more: tuple[Any, Any]) -> Any:
    stored = ((JOBS, job), (JOB_VERSIONS, job)) if job is not None else ()
    return evaluate(state(*stored, (EVALUATIONS, evaluation), *more), evaluation, now_ns=NOW)


@pytest.mark.parametrize(
    ("job", "kind", "queued", "blocked", "deployment"),
    [
        (None, "service", None, False, False),
        (a_job(count=0), "service", {"g": 0}, False, False),
        (a_job(count=2), "service", {"g": 2}, True, False),
        (a_job(count=2, updates=True), "service", {"g": 2}, True, True),
        (a_job(count=0, updates=True), "service", {"g": 0}, False, False),
        (a_job(count=3, type="batch", updates=True), "batch", {"g": 3}, True, False),
        (a_job(count=3, stop=True, updates=True), "service", {"g": 0}, False, False),
    ],
    ids=["gone", "idle", "service", "rollout", "idle rollout", "batch", "stopped"],
)
def test_what_a_registration_leads_to(
    job: Job | None, kind: str, queued: dict[str, int] | None, blocked: bool, deployment: bool
) -> None:
    outcome = decide(job, an_evaluation(kind))
    ended = outcome.evaluation
    assert (ended.id, ended.status, ended.status_description) == (EVAL_ID, "complete", "")
    assert (ended.queued_allocations or {"g": 0}) == (queued or {"g": 0})
    assert bool(ended.failed_tg_allocs) == blocked == bool(ended.blocked_eval)
    assert [one.id for one in outcome.created] == ([ended.blocked_eval] if blocked else [])
    assert (outcome.deployment is not None) == deployment


def test_whole_cores_where_no_node_is() -> None:
    job = a_job()
    task = Task(name="t", driver="d", resources=Resources(cores=2))
    outcome = decide(replace(job, task_groups=(replace(job.task_groups[0], tasks=(task,)),)), an_evaluation())
    assert outcome.evaluation.status == "complete" and outcome.evaluation.blocked_eval


def test_the_evaluation_that_waits() -> None:
    job = a_job(count=2, updates=True)
    outcome = decide(job, an_evaluation())
    (waiting,) = outcome.created
    assert (waiting.status, waiting.triggered_by, waiting.previous_eval) == ("blocked", "queued-allocs", EVAL_ID)
    assert (waiting.job_id, waiting.priority, waiting.type) == ("web", 50, "service")
    deployment = outcome.deployment
    assert deployment is not None
    assert (deployment.job_id, deployment.job_version, deployment.status) == ("web", job.version, "running")
    assert deployment.task_groups["g"].desired_total == 2
    failed = outcome.evaluation.failed_tg_allocs
    assert failed is not None and failed["g"].coalesced_failures == 1, "two found no place, one is told"


@pytest.mark.parametrize(
    ("kind", "trigger", "handled"),
    [
        ("service", "scheduled", False),
        ("service", "alloc-failure", True),
        ("batch", "periodic-job", True),
        ("system", "periodic-job", False),
        ("system", "alloc-failure", True),
        ("sysbatch", "periodic-job", True),
        ("sysbatch", "scheduled", False),
    ],
)
def test_reasons_that_a_scheduler_handles(kind: str, trigger: str, handled: bool) -> None:
    ended = decide(a_job(count=0, type=kind), an_evaluation(kind, trigger)).evaluation
    text = f"scheduler cannot handle '{trigger}' evaluation reason"
    assert (ended.status, ended.status_description) == (("complete", "") if handled else ("failed", text))


OLD = Deployment(
    id="d0000000-0000-0000-0000-000000000001", namespace="default", job_id="web", job_version=0, status="running",
    job_create_index=5, job_modify_index=5, job_spec_modify_index=5, task_groups={"g": DeploymentState(desired_total=2)},
)  # fmt: skip


@pytest.mark.parametrize(
    ("job", "deployment", "cancelled"),
    [
        (a_job(count=2, updates=True, stop=True), OLD, "Cancelled because job is stopped"),
        (a_job(count=2, updates=True, version=1), OLD, "Cancelled due to newer version of job"),
        (a_job(count=2, updates=True), OLD, None),
        (a_job(count=2, updates=True, stop=True), replace(OLD, status="successful"), None),
    ],
)
def test_deployments_that_end_with_what_they_were_for(job: Job, deployment: Deployment, cancelled: str | None) -> None:
    outcome = decide(job, an_evaluation(), (DEPLOYMENTS, deployment))
    told = [(one.deployment_id, one.status, one.description) for one in outcome.deployment_updates]
    assert told == ([(OLD.id, "cancelled", cancelled)] if cancelled else [])


def test_what_waits_goes_on_waiting_without_a_write() -> None:
    job = a_job(count=2)
    (waiting,) = decide(job, an_evaluation()).created
    stored = replace(waiting, create_index=7, modify_index=7, queued_allocations={"g": 2})
    again = decide(job, stored)
    assert again.evaluation.status == "blocked" and again.is_plain and not again.created


def test_the_same_state_leads_to_the_same_decision() -> None:
    job, evaluation = a_job(count=2, updates=True), an_evaluation()
    assert decide(job, evaluation) == decide(job, evaluation)


def test_the_columns_that_are_handed_in_are_used_and_none_are_made_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_given: Any, **_more: Any) -> None:
        raise AssertionError("made for an evaluation that places nothing")

    evaluation = an_evaluation()
    view = state((JOBS, a_job(count=0)), (JOB_VERSIONS, a_job(count=0)), (EVALUATIONS, evaluation))
    empty = Cluster.of(view)
    monkeypatch.setattr(Cluster, "of", made)
    for name in ("Working", "Feasibility"):
        monkeypatch.setattr(place, name, made)
    assert evaluate(view, evaluation, now_ns=NOW, cluster=empty).evaluation.status == "complete"


@pytest.mark.parametrize(
    ("before", "shown", "waits"),
    [("blocked", 2, True), ("blocked", 3, False), ("pending", 2, False)],
    ids=["as before", "another number than the summary shows", "the first time"],
)
def test_what_finds_no_room_again_just_waits_on(before: str, shown: int, waits: bool) -> None:
    evaluation = an_evaluation(trigger="queued-allocs", status=before)
    summary = JobSummary(job_id="web", namespace="default", summary={"g": TaskGroupSummary(queued=shown)})
    outcome = decide(a_job(count=2), evaluation, (JOB_SUMMARIES, summary))
    assert outcome.finds_no_room_again(evaluation) is waits
    if before == "blocked" and not waits:
        assert outcome.evaluation.snapshot_index == 10, "it waits from what was looked at on"
