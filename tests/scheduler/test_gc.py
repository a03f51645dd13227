"""What may be collected and what must stay, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.store.model import new_store
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOB_VERSIONS, JOBS
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job, ParameterizedJob, Periodic, VersionTag
from yurt.scheduler.duties.gc import FORCED, IDS_PER_COMMAND_MAX, Thresholds, collectable

HOUR = 3_600_000_000_000
NOW = 1000 * HOUR


def job(kind: str = "batch", *, hours: float = 5, status: str = "dead", **fields: Any) -> Job:
    return Job(id="web", namespace="default", type=kind, status=status, submit_time=int(NOW - hours * HOUR), **fields)


def evaluation(kind: str = "batch", *, hours: float = 25, status: str = "complete") -> Evaluation:
    at = int(NOW - hours * HOUR)
    return Evaluation(
        id="eval", namespace="default", job_id="web", type=kind, status=status, create_time=at, modify_time=at
    )


def collected(*rows: Any, thresholds: Thresholds = Thresholds()) -> set[str]:
    """What of the rows would go: `job`, `eval`, `deployment`."""
    tables = {Job: JOBS, Evaluation: EVALUATIONS, Deployment: DEPLOYMENTS, Allocation: ALLOCATIONS}
    store = new_store()
    transaction = store.begin(10)
    for row in rows:
        transaction.put(tables[type(row)], row)
        if isinstance(row, Job):
            transaction.put(JOB_VERSIONS, row)
    store.commit(transaction)
    command = collectable(store.view(), NOW, thresholds)
    if command is None:
        return set()
    found = (("job", command.jobs), ("eval", command.evaluation_ids), ("deployment", command.deployment_ids))
    return {name for name, ids in found if ids}


@pytest.mark.parametrize(
    ("stored", "goes"),
    [
        (job(), True),
        (job(hours=3.9), False),
        (job(status="running"), False),
        (job("sysbatch"), True),
        (job("service"), False),
        (job("service", stop=True), True),
        (job("system", stop=True), True),
        (job("service", stop=True, hours=1), False),
        (job(periodic=Periodic(specs=("@daily",)), status="running"), False),
        (job(periodic=Periodic(specs=("@daily",))), False),
        (job(periodic=Periodic(specs=("@daily",)), stop=True), True),
        (job(parameterized_job=ParameterizedJob()), False),
        (job(parameterized_job=ParameterizedJob(), stop=True), True),
        (job(parameterized_job=ParameterizedJob(), dispatched=True, parent_id="p"), True),
        (job(version_tag=VersionTag(name="keep")), False),
    ],
)  # fmt: skip
def test_jobs(stored: Job, goes: bool) -> None:
    assert collected(stored) == ({"job"} if goes else set())


@pytest.mark.parametrize(
    ("rows", "going"),
    [
        ([evaluation("service", hours=2)], {"eval"}),
        ([evaluation("service", hours=0.9)], set()),
        ([evaluation("service", hours=2, status="blocked")], set()),
        ([evaluation("service", hours=2, status="failed")], {"eval"}),
        ([evaluation("service", hours=2, status="canceled")], {"eval"}),
        ([evaluation("batch", hours=2)], set()),
        ([evaluation("batch")], {"eval"}),
        ([job(hours=1, status="running"), evaluation("batch")], set()),
        ([job(hours=1), evaluation("batch")], set()),
        ([job(hours=1, stop=True), evaluation("batch")], {"eval"}),
        ([job("service", status="running"), evaluation("service", hours=2)], {"eval"}),
        ([job(), evaluation("batch")], {"job", "eval"}),
        ([job(), evaluation("batch", hours=2)], set()),
        ([job(), evaluation("batch", status="pending")], set()),
    ],
)
def test_evaluations_and_jobs_with_them(rows: list[Any], going: set[str]) -> None:
    assert collected(*rows) == going


def test_what_still_runs_keeps_its_job_and_its_evaluation() -> None:
    running = Allocation(
        id="alloc", namespace="default", job_id="web", eval_id="eval", desired_status="run", client_status="running",
        modify_time=NOW - 30 * HOUR,
    )  # fmt: skip
    rows = (job(stop=True), evaluation("batch"), running)
    assert collected(*rows) == collected(*rows, thresholds=FORCED) == set()


@pytest.mark.parametrize(
    ("status", "hours", "goes"),
    [("successful", 2, True), ("failed", 2, True), ("cancelled", 2, True), ("running", 2, False), ("paused", 2, False),
     ("successful", 0.5, False)],
)  # fmt: skip
def test_deployments(status: str, hours: float, goes: bool) -> None:
    one = Deployment(id="d", namespace="default", job_id="web", status=status, modify_time=int(NOW - hours * HOUR))
    assert collected(one) == ({"deployment"} if goes else set())


@pytest.mark.parametrize("rows", [(job(hours=0.001),), (job(hours=0.001, stop=True), evaluation("batch", hours=0.001))])
def test_by_hand_age_does_not_matter(rows: tuple[Any, ...]) -> None:
    assert collected(*rows) == set()
    assert "job" in collected(*rows, thresholds=FORCED)


def test_one_command_is_bounded() -> None:
    store = new_store()
    transaction = store.begin(10)
    for number in range(IDS_PER_COMMAND_MAX + 5):
        transaction.put(EVALUATIONS, Evaluation(id=f"e{number}", type="service", status="complete"))
    store.commit(transaction)
    command = collectable(store.view(), NOW, Thresholds())
    assert command is not None and len(command.evaluation_ids) == IDS_PER_COMMAND_MAX
