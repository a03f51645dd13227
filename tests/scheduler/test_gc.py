"""What may be collected and what must stay, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.store.model import new_store
from yurt.fsm.commands import TagJobVersion, encode
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOB_VERSIONS, JOBS, NODES
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job, ParameterizedJob, Periodic, VersionTag
from yurt.fsm.structs.node import Node
from yurt.scheduler.duties.gc import COST_MAX, FORCED, JOB_COST, Thresholds, collecting

HOUR, SECOND = 3_600_000_000_000, 1_000_000_000
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
    return {
        name
        for command in collecting(store.view(), NOW, thresholds)
        if command is not None
        for name, ids in (
            ("job", command.jobs),
            ("eval", command.evaluation_ids),
            ("deployment", command.deployment_ids),
        )
        if ids
    }


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


def machine_with(*rows: Any) -> Machine:
    tables: dict[type, Any] = {
        Job: JOBS, Evaluation: EVALUATIONS, Allocation: ALLOCATIONS, Deployment: DEPLOYMENTS, Node: NODES,
    }  # fmt: skip
    machine = Machine()
    transaction = machine.store.begin(10)
    for row in rows:
        transaction.put(tables[type(row)], row)
        if isinstance(row, Job):
            transaction.put(JOB_VERSIONS, row)
    machine.store.commit(transaction)
    return machine


def ended(job_id: str, count: int) -> list[Evaluation]:
    return [
        Evaluation(id=f"{job_id}-{n:05d}", namespace="default", job_id=job_id, type="service", status="complete")
        for n in range(count)
    ]


def test_a_pass_finds_everything_in_commands_of_bounded_work() -> None:
    machine = machine_with(*ended("web", 10 * COST_MAX), *ended("other", 7))
    found = [one for one in collecting(machine.view(), NOW, Thresholds()) if one is not None]
    assert max(len(one.evaluation_ids) for one in found) <= COST_MAX + 1
    for command in found:
        assert isinstance(machine.apply(encode(command)), Applied)
    assert machine.view().count(EVALUATIONS) == 0


def test_a_large_job_goes_after_its_rows_in_commands_of_bounded_work() -> None:
    allocations = [
        Allocation(
            id=f"a{n:05d}", namespace="default", job_id="web", eval_id="web-00000", desired_status="stop",
            client_status="complete",
        )
        for n in range(5 * COST_MAX)
    ]  # fmt: skip
    machine = machine_with(job("service", stop=True), *ended("web", 5 * COST_MAX), *allocations)
    found = [one for one in collecting(machine.view(), NOW, FORCED, machine.view) if one is not None]
    cost = [len(one.evaluation_ids) + len(one.allocation_ids) + JOB_COST * len(one.jobs) for one in found]
    assert len(found) >= 10 and max(cost) <= COST_MAX + JOB_COST + 1
    assert [bool(one.jobs) for one in found] == [False] * (len(found) - 1) + [True]
    for command in found:
        assert isinstance(machine.apply(encode(command)), Applied)
    assert [machine.view().count(table) for table in (JOBS, JOB_VERSIONS, EVALUATIONS, ALLOCATIONS)] == [0, 0, 0, 0]


def test_what_changed_since_the_pass_began_is_left() -> None:
    machine = machine_with(job("service", stop=True), *ended("other", 2))
    steps = collecting(machine.view(), NOW, FORCED, machine.view)
    transaction = machine.store.begin(11)
    transaction.put(JOBS, job("service", stop=True, priority=1))
    transaction.put(EVALUATIONS, replace(ended("other", 1)[0], priority=9))
    machine.store.commit(transaction)
    found = [one for one in steps if one is not None]
    assert [(one.jobs, one.evaluation_ids) for one in found] == [((), ("other-00001",))]


def two_versions() -> list[Job]:
    """A stopped job; a name for the older version changes no row of `JOBS`."""
    return [job("service", stop=True, version=version) for version in (0, 1)]


def tag_it(machine: Machine) -> None:
    command = TagJobVersion(namespace="default", job_id="web", tag="keep", version=0)
    assert isinstance(machine.apply(encode(command)), Applied)


def test_a_job_that_was_tagged_since_the_pass_began_is_left() -> None:
    machine = machine_with(*two_versions(), *ended("other", 1))
    steps = collecting(machine.view(), NOW, FORCED, machine.view)
    tag_it(machine)
    found = [one for one in steps if one is not None]
    assert [(one.jobs, one.evaluation_ids) for one in found] == [((), ("other-00000",))]


@pytest.mark.parametrize(("keeps_tagged", "version"), [(False, 1), (True, 6)])
def test_a_job_that_is_tagged_before_the_command_is_applied_stays_where_every_server_keeps_it(
    keeps_tagged: bool, version: int
) -> None:
    """A command of before, in the log or of an older leader, must lead to what it led to then."""
    machine = machine_with(*two_versions())
    (command,) = (one for one in collecting(machine.view(), NOW, FORCED, machine.view) if one is not None)
    command = replace(command, keeps_tagged=keeps_tagged)
    assert encode(command)[0] == version, "a server that does not know it must not take it"
    tag_it(machine)
    assert isinstance(machine.apply(encode(command)), Applied)
    assert [machine.view().count(table) for table in (JOBS, JOB_VERSIONS)] == ([1, 2] if keeps_tagged else [0, 0])


def test_a_pass_gives_way_after_each_row_it_looks_at() -> None:
    machine = machine_with(*ended("web", 2000))
    steps = sum(1 for one in collecting(machine.view(), NOW, Thresholds()) if one is None)
    assert steps >= 2000
    assert machine.view().count(EVALUATIONS) == 2000


@pytest.mark.parametrize("row", ["deployment", "node"])
def test_a_pass_gives_way_after_each_allocation_of_a_deployment_or_node(row: str) -> None:
    allocations = [
        Allocation(
            id=f"a{n:05d}", job_id="web", deployment_id="d", node_id="n", desired_status="stop", client_status="complete",
            modify_time=NOW,
        )
        for n in range(1000)
    ]  # fmt: skip
    machine = machine_with(
        Deployment(id="d", job_id="web", status="successful") if row == "deployment" else Node(id="n", status="down"),
        *allocations,
    )
    found = list(collecting(machine.view(), NOW, Thresholds()))
    (command,) = (one for one in found if one is not None)
    assert command.deployment_ids + command.node_ids == (("d",) if row == "deployment" else ("n",))
    assert len(found) > 1000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_200_evaluations_a_second_for_an_hour_leave_a_flat_table() -> None:
    """In virtual time: evaluations that are done come for an hour, a pass runs every five minutes."""
    rate, step, interval, threshold = 200, 10, 300, 600
    machine = Machine()
    sizes: list[int] = []
    commands = largest = 0
    for second in range(0, 3600, step):
        now = NOW + second * SECOND
        transaction = machine.store.begin(machine.index + 1)
        for number in range(second * rate, (second + step) * rate):
            done = Evaluation(id=f"{number:08d}", job_id=f"job-{number}", status="complete", modify_time=now)
            transaction.put(EVALUATIONS, done)
        machine.store.commit(transaction)
        if second % interval == interval - step:
            thresholds = Thresholds(evaluation=threshold * SECOND)
            view = machine.view()
            assert view.pin()
            for command in collecting(view, now, thresholds, machine.view):
                if command is not None:
                    commands += 1
                    largest = max(largest, len(command.evaluation_ids))
                    machine.apply(encode(command))
            sizes.append(machine.view().count(EVALUATIONS))
    assert largest <= COST_MAX + 1 and commands >= (3600 - threshold - interval) * rate // (COST_MAX + 1)
    assert sizes[2:] == [threshold * rate] * (len(sizes) - 2), "the table is flat as soon as the threshold has passed"
