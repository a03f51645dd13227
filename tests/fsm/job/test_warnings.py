"""Warnings and their order (spec job-model §4.4)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.fsm.job.validate.test_task import listed
from yurt.fsm.job.warnings import job_warnings, memory_warnings
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import SCHEDULER_CONFIG
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.operator import SchedulerConfiguration

OPEN = "identities without an audience are insecure"
FOREVER = "identities without an expiration are insecure"
MANY = "while multiple audiences is allowed, it is more secure to use 1 audience per identity"
STALE = 'using env=true without change_mode="restart" may result in task not getting updated identity'
GRACE = (
    "Template[1] VaultGrace has been deprecated as of Nomad 0.11 and ignored since Vault 0.5. "
    "Please remove VaultGrace / vault_grace from template block."
)


def job(group: dict[str, Any], task: dict[str, Any], **fields: Any) -> Job:
    tasks = [{"Name": "t", **task}]
    return msgspec.convert({"ID": "j", "TaskGroups": [{"Name": "g", "Tasks": tasks, **group}], **fields}, Job)


@pytest.mark.parametrize(
    ("group", "task", "texts"),
    [
        ({}, {}, []),
        ({"Count": 1, "Update": {"MaxParallel": 3}}, {}, []),
        ({}, {"Templates": [{}, {"VaultGrace": 1}]}, ['Group "g" has warnings: ' + listed('Task "t" has warnings: ' + listed(GRACE))]),
        ({}, {"Identities": [{"Name": "vault_x", "Audience": ["a", "b"], "Env": True}]}, [
            'Group "g" has warnings: ' + listed('Task "t" has warnings: ' + listed(listed(
                f"Identity[vault_x] {MANY}", f"Identity[vault_x] {FOREVER}", f"Identity[vault_x] {STALE}"))),
            "Task t has an identity called vault_x but no vault block",
        ]),
        ({"Services": [{"Name": "s", "TaskName": "t", "Identity": {"TTL": 5}}]}, {"ShutdownDelay": 1}, ['Group "g" has warnings: ' + listed(f'Service "s": {OPEN}')]),
        ({"Services": [{"Name": "s", "Connect": {"SidecarTask": {}}}]}, {}, [
            'service "s" defines a sidecar task in Consul Connect definition, but the task has no shutdown_delay set']),
        ({"Services": [{"Name": "s", "TaskName": "t"}], "ShutdownDelay": 5}, {}, [
            'group "g" references task "t" in a service definition, but the task has no shutdown_delay set']),
        ({"ShutdownDelay": 5}, {"Services": [{"Name": "s"}]}, ['task "t" in group "g" defines services, but has no shutdown_delay set']),
        ({"Services": [{"Name": "s"}]}, {}, ['group "g" defines services, but neither the group nor any of its tasks have shutdown_delay set']),
        ({"Services": [{"Name": "s"}]}, {"ShutdownDelay": 1}, []),
        ({"Services": [{"Name": "s"}], "ShutdownDelay": 1}, {}, []),
    ],
)  # fmt: skip
def test_jobs(group: dict[str, Any], task: dict[str, Any], texts: list[str]) -> None:
    assert list(job_warnings(job(group, task))) == texts


def test_memory_that_this_cluster_does_not_hand_out() -> None:
    asking = job({}, {"Resources": {"MemoryMB": 10, "MemoryMaxMB": 20}})
    machine = Machine()
    assert list(memory_warnings(asking, machine.view())) == [
        'Memory oversubscription is not enabled; Task "g.t" memory_max value will be ignored. '
        "Update the Scheduler Configuration to allow oversubscription."
    ]
    assert not list(memory_warnings(job({}, {"Resources": {}}), machine.view()))
    transaction = machine.store.begin(5)
    transaction.put(SCHEDULER_CONFIG, SchedulerConfiguration(memory_oversubscription_enabled=True))
    machine.store.commit(transaction)
    assert not list(memory_warnings(asking, machine.view()))
