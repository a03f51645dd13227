"""From a body to a job: case, types, defaults by type, implied constraints (spec job-model §1, §3, §4.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yurt.fsm.errors import Refusal
from yurt.fsm.job.admit import Limits, admit, admit_submission
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.equal import same_specification
from yurt.fsm.job.requests import RegisterRequest
from yurt.fsm.machine import Machine
from yurt.fsm.structs.base import to_json
from yurt.fsm.structs.job import Job, JobSubmission

VIEW = Machine().view()


def admitted(**fields: Any) -> Job:
    groups = [
        {"Name": "g", "Tasks": [{"Name": "t", "Driver": "d", **fields.pop("task", {})}], **fields.pop("group", {})}
    ]
    return again({"ID": "web", "TaskGroups": groups, **fields})


def again(job: dict[str, Any]) -> Job:
    body = decode_body(json.dumps({"Job": job}).encode(), RegisterRequest)["Job"]
    return admit(body, reader=VIEW, namespace="default", region="global", limits=Limits()).job


@pytest.mark.parametrize(
    ("kind", "restart", "reschedule", "migrate", "update"),
    [
        ("service", 2, (0, True, "exponential"), 1, 1),
        ("batch", 3, (1, False, "constant"), None, None),
        ("system", 2, None, None, 1),
        ("sysbatch", 3, None, None, None),
    ],
)
def test_defaults_by_type(kind: str, restart: int, reschedule: Any, migrate: Any, update: Any) -> None:
    job = admitted(Type=kind)
    (group,) = job.task_groups or ()
    (task,) = group.tasks or ()
    assert group.restart_policy is not None and group.restart_policy.attempts == restart
    assert task.restart_policy == group.restart_policy
    policy = group.reschedule_policy
    assert (policy and (policy.attempts, policy.unlimited, policy.delay_function)) == reschedule
    assert (group.migrate and group.migrate.max_parallel) == migrate
    assert (group.update and group.update.max_parallel) == update
    assert job.update.max_parallel == (update or 0)
    assert (job.priority, job.datacenters, job.node_pool, group.count) == (50, ("*",), "default", 1)


def test_the_job_is_what_it_was_when_it_comes_back_as_it_was_read() -> None:
    job = admitted(
        Update={"MaxParallel": 3}, Meta={"a": "b"}, Constraints=[{"LTarget": "${attr.x}", "RTarget": "y", "Operand": "="}],
        group={"Services": [{"Provider": "nomad", "PortLabel": "http", "Checks": [{"Type": "tcp", "Interval": 10**9, "Timeout": 10**9}]}], "Networks": [{"DynamicPorts": [{"Label": "http"}]}]},
        task={"KillSignal": "SIGINT", "Config": {"n": 1, "l": [], "x": None}, "Templates": [{"ChangeMode": "signal", "DestPath": "x", "EmbeddedTmpl": "x"}]},
    )  # fmt: skip
    read = json.loads(to_json(job))
    assert same_specification(job, again(read))
    constraints = [(one.ltarget, one.rtarget) for one in (job.task_groups or ())[0].constraints or ()]
    assert constraints == [
        ("${attr.os.signals}", "SIGHUP,SIGINT"),
        ("${attr.nomad.service_discovery}", "true"),
        ("${attr.nomad.version}", ">= 1.4.0"),
    ]
    task = read["TaskGroups"][0]["Tasks"][0]
    assert task["Config"] == {"n": 1.0, "l": [], "x": None}
    assert read["TaskGroups"][0]["Services"][0]["Name"] == "web-g"


def test_keys_match_in_any_case_and_empty_is_absent() -> None:
    plain = admitted()
    odd = again(
        {
            "id": "web",
            "TASKGROUPS": [{"name": "g", "tasks": [{"NAME": "t", "driver": "d", "env": {}}]}],
            "Meta": {},
            "Nothing": 1,
        }
    )
    assert same_specification(plain, odd)
    assert decode_body(b'{"Job": {"ID": "a", "id": "b"}} trailing', RegisterRequest) == {"Job": {"ID": "b"}}
    assert decode_body(b"null", RegisterRequest) == {}
    half = decode_body(b'{"Job": {"ID": "a\\ud800", "Name": "\\ud83d\\ude00"}}', RegisterRequest)
    assert half == {"Job": {"ID": "a\ufffd", "Name": "\U0001f600"}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Request body is empty"),
        (b'{"Job"', "unexpected EOF"),
        (b'{"Job": {"Priority": "x"}}', "json: cannot unmarshal string into Go struct field Job.Job.Priority of type int"),
        (b'{"Job": {"TaskGroups": {}}}', "json: cannot unmarshal object into Go struct field Job.Job.TaskGroups of type []*api.TaskGroup"),
        (b'{"Job": {"TaskGroups": [{"Count": 1.5}]}}', "json: cannot unmarshal number 1.5 into Go struct field TaskGroup.Job.TaskGroups.Count of type int"),
        (b'{"Job": {"Affinities": [{"Weight": 200}]}}', "json: cannot unmarshal number 200 into Go struct field Affinity.Job.Affinities.Weight of type int8"),
        (b'{"JobModifyIndex": -1}', "json: cannot unmarshal number -1 into Go struct field JobRegisterRequest.JobModifyIndex of type uint64"),
        (b'{"Job": {"Payload": "!"}}', "illegal base64 data at input byte 0"),
    ],
)  # fmt: skip
def test_wrong_bodies_have_their_text(body: bytes, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        decode_body(body, RegisterRequest)
    assert (caught.value.status, caught.value.text) == (400, text)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Refusal) as caught:
        again({"ID": "a b", "Type": "bogus", "Namespace": "ignored", "TaskGroups": [{"Count": -1}]})
    assert caught.value.status == 500
    assert caught.value.text.startswith(
        '4 errors occurred:\n\t* Job ID contains a space\n\t* Invalid job type: "bogus"\n'
    )
    assert "Task group count can't be negative" in caught.value.text and caught.value.text.endswith("\n\n")


def test_a_large_source_is_left_out_with_a_warning() -> None:
    small, large = JobSubmission(source="x" * 10), JobSubmission(source="x" * 1_000_001)
    assert admit_submission(small, Limits()) == (small, "")
    kept, warning = admit_submission(large, Limits())
    assert kept is None and warning == "job source size of 1.0 MB exceeds maximum of 1.0 MB and will be discarded"
