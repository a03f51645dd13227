"""Laws of admission that hold for any job: nothing is lost, nothing changes the second time (spec job-model §1, §3)."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fsm.job.bodies import filled, random_body
from yurt.fsm import commands
from yurt.fsm.commands import RegisterJob
from yurt.fsm.job.canonicalize import canonicalize
from yurt.fsm.job.decode import _folded_body, decode_body
from yurt.fsm.job.equal import same_specification
from yurt.fsm.job.mutate import mutate
from yurt.fsm.job.requests import RegisterRequest
from yurt.fsm.job.strict import strict_body
from yurt.fsm.job.validate.job import job_errors
from yurt.fsm.job.warnings import job_warnings
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import JOB_SUBMISSIONS, JOB_VERSIONS, JOBS
from yurt.fsm.structs.base import replace, to_json
from yurt.fsm.structs.job import Job, JobSubmission
from yurt.fsm.structs.task import Task

seeds = st.integers(0, 2**32).map(random.Random)


def read(job: Job) -> dict[str, Any]:
    """The job as a client reads it and sends it back."""
    return dict(decode_body(b'{"Job":' + to_json(job) + b"}", RegisterRequest)["Job"])


def canonical(body: dict[str, Any]) -> Job:
    return canonicalize(body, namespace="default", region="global")


def body_of(rng: random.Random) -> bytes:
    """A registration with groups and tasks that say much."""
    job = random_body(Job, rng)
    job["TaskGroups"] = [{**group, "Name": f"g{place}"} for place, group in enumerate(job.get("TaskGroups", [{}]))]
    for group in job["TaskGroups"]:
        group.setdefault("Tasks", [random_body(Task, rng)])
    return json.dumps({"Job": job}).encode()


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_a_canonical_job_is_canonical(rng: random.Random) -> None:
    job = canonical(decode_body(body_of(rng), RegisterRequest)["Job"])
    assert same_specification(job, canonical(read(job)))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_any_job_can_be_judged_and_what_it_implies_is_there_the_second_time(rng: random.Random) -> None:
    job = mutate(canonical(decode_body(body_of(rng), RegisterRequest)["Job"]))
    assert all(isinstance(text, str) and text for text in job_errors(job, priority_max=100, count_max=50))
    assert all(isinstance(text, str) and text for text in job_warnings(job))
    identities = any(
        service.identity for group in job.task_groups or () for service in group.services or ()
    ) or any(
        task.identities or any(service.identity for service in task.services or ())
        for group in job.task_groups or () for task in group.tasks or ()
    )  # fmt: skip
    if not identities:  # their constraint is added every time
        assert same_specification(job, mutate(canonical(read(job))))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_decoded_encoded_and_decoded_is_the_same(rng: random.Random) -> None:
    job = msgspec.convert(decode_body(json.dumps({"Job": random_body(Job, rng)}).encode(), RegisterRequest)["Job"], Job)
    assert msgspec.convert(read(job), Job) == job


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_the_quick_way_reads_what_the_long_way_reads(rng: random.Random) -> None:
    body = body_of(rng)
    quick, long = strict_body(body, RegisterRequest), _folded_body(body, RegisterRequest)
    assert quick is None or quick == long
    assert decode_body(json.dumps(odd(json.loads(body), rng)).encode(), RegisterRequest) == long


def odd(value: Any, rng: random.Random, depth: int = 0) -> Any:
    """The same body with keys in another case and unknown ones beside them, down to the job's own members."""
    if depth == 2:
        return value
    turned = {rng.choice((key, key.lower(), key.upper())): odd(one, rng, depth + 1) for key, one in value.items()}
    return {"Unknown": [{}], **turned}


@pytest.mark.parametrize(
    "body",
    [
        b'{"Job": {"ID": "a", "Meta": null, "Priority": 5}}',
        b'{"Job": {"TaskGroups": [{"Tasks": [{"Config": {"a": [1, {"b": [2]}], "c": []}}]}]}}',
    ],
)
def test_the_quick_way_is_taken(body: bytes) -> None:
    assert strict_body(body, RegisterRequest) == _folded_body(body, RegisterRequest)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Job": {"id": "a"}}',
        b'{"Job": {"ID": "a"}} trailing',
        b'{"Job": {"Meta": {}}}',
        b'{"Job": {"Datacenters": []}}',
        b'{"Job": {"Datacenters": [null, "a"]}}',
        b'{"Job": {"Payload": "aGk="}}',
        b'{"Job": {"Colour": 1}}',
        b'{"Job": {"TaskGroups": [{"Tasks": [{"Config": {"a": [[[[[1]]]]]}}]}]}}',
    ],
)
def test_the_long_way_is_taken(body: bytes) -> None:
    assert strict_body(body, RegisterRequest) is None
    assert isinstance(decode_body(body, RegisterRequest), dict)


def test_every_member_survives_registration_log_and_snapshot() -> None:
    """A job in which nothing is a default goes through a command, the store, a snapshot and a restore."""
    body = {**filled(Job), "Namespace": "default"}
    job = msgspec.convert(body, Job)
    assert json.loads(to_json(job)) == body
    submission = msgspec.convert(filled(JobSubmission), JobSubmission)
    command = RegisterJob(now_ns=7, job=job, submission=submission, eval_id="e", scaling_policy_ids=("p", "q"))
    payload = commands.encode(command)
    assert commands.decode(payload) == command
    machine = Machine()
    assert isinstance(machine.apply(payload), Applied)
    (stored,) = machine.view().scan(JOBS)
    assert unset(stored) == unset(job)
    restored = Machine()
    restored.restore(iter([b"".join(machine.write(machine.capture()))]))
    for table in (JOBS, JOB_VERSIONS, JOB_SUBMISSIONS):
        rows = list(machine.view().scan(table))
        assert rows and list(restored.view().scan(table)) == rows
    (kept,) = restored.view().scan(JOB_SUBMISSIONS)
    assert (kept.source, kept.variables, kept.variable_flags) == (
        submission.source, submission.variables, submission.variable_flags,
    )  # fmt: skip


def unset(job: Job) -> Job:
    """The job without what only the store knows."""
    groups = tuple(
        replace(group, scaling=group.scaling and replace(group.scaling, id="", create_index=0, modify_index=0))
        for group in job.task_groups or ()
    )
    cleared: Job = replace(
        job, task_groups=groups, status="", status_description="", stable=False, submit_time=0, create_index=0,
        modify_index=0, job_modify_index=0, version=0,
    )  # fmt: skip
    return cleared
