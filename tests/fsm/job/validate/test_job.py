"""Jobs and groups as a whole, and what the cluster has for them (spec job-model §4.2, §4.3, §5.1)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.fsm.job.validate.test_task import listed
from yurt.fsm.job.validate.cluster import cluster_errors, edition_errors
from yurt.fsm.job.validate.group import group_errors
from yurt.fsm.job.validate.job import job_errors
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import NAMESPACES
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.namespace import Namespace, NamespaceCapabilities

TASK = {"Name": "t", "Driver": "d"}
GROUP = {"Name": "g", "Tasks": [TASK]}


def job(**fields: Any) -> Job:
    return msgspec.convert({"ID": "j", "Name": "j", "TaskGroups": [GROUP], **fields}, Job)


def found(**fields: Any) -> list[str]:
    return list(job_errors(job(**fields), priority_max=100, count_max=5))


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"Region": ""}, ["Missing job region"]),
        ({"ID": ""}, ["Missing job ID"]),
        ({"ID": "a b"}, ["Job ID contains a space"]),
        ({"ID": "a\0b"}, ["Job ID contains a null character"]),
        ({"ID": "a/../\t" + "x" * 300}, []),
        ({"Name": ""}, ["Missing job name"]),
        ({"Name": "a\0b"}, ["Job Name contains a null character"]),
        ({"Type": ""}, ["Missing job type"]),
        ({"Type": "x"}, ['Invalid job type: "x"']),
        ({"Type": "_core"}, ["job type cannot be core"]),
        ({"Datacenters": ["a", ""]}, ["Job datacenter must be non-empty string"]),
        ({"TaskGroups": None}, ["Missing job task groups"]),
        ({"Constraints": [{"Operand": "x", "LTarget": "a"}]}, ["Constraint 1 validation failed: " + listed('Unknown constraint type "x"')]),
        ({"Type": "system", "Affinities": [{}], "Spreads": [{}]}, ["System jobs may not have an affinity block", "System jobs may not have a spread block"]),
        ({"UI": {"Description": "é" * 501}}, ["UI description must be under 1000 characters, currently 1002"]),
        ({"VersionTag": {"Description": "x" * 1001}}, ["Tagged version description must be under 1000 characters, currently 1001"]),
        ({"TaskGroups": [GROUP, GROUP]}, ["Job task group 2 redefines 'g' from group 1"]),
        ({"TaskGroups": [{**GROUP, "ShutdownDelay": -1}]}, ["ShutdownDelay must be a positive value"]),
        ({"Type": "system", "TaskGroups": [{**GROUP, "Count": 2}]}, ["Job task group g has count 2. Count cannot exceed 1 with system scheduler"]),
        ({"Type": "sysbatch", "TaskGroups": [{**GROUP, "Count": 2}]}, []),
        ({"Periodic": {"Spec": "* * * * *"}}, ['Periodic can only be used with "batch" or "sysbatch" scheduler']),
        ({"Periodic": {"Enabled": False}}, []),
        ({"Type": "batch", "Periodic": {"Specs": ["x"]}}, [listed('Invalid cron spec "x": missing field(s)')]),
        ({"ParameterizedJob": {"Payload": "x", "MetaRequired": ["b", "a"], "MetaOptional": ["a", "b", "c"]}}, [
            'Parameterized job can only be used with "batch" or "sysbatch" scheduler',
            listed('Unknown payload requirement: "x"', "Required and optional meta keys should be disjoint. Following keys exist in both: [a b]"),
        ]),
        ({"Payload": "aGk="}, ["job can't be submitted with a payload, only dispatched"]),
        ({"Priority": 101}, ["job priority must be between [1, 100]"]),
        ({"Priority": -1}, ["job priority must be between [1, 100]"]),
        ({"TaskGroups": [{**GROUP, "Services": [{"Name": "s", "Provider": "nomad", "Identity": {"Audience": ["x"]}}]}]}, ["Service s in task group g has an identity with an empty name"]),
        ({"TaskGroups": [{"Name": "g", "Tasks": [{**TASK, "Services": [{"Name": "s", "Identity": {"Audience": ["x"]}}]}]}]}, ["Service s in task t has an identity with an empty name"]),
        ({"TaskGroups": [{"Name": "g", "Tasks": [{**TASK, "Vault": {"Cluster": "c"}}]}]}, [
            "Task t uses Vault cluster c but does not have an identity named vault_c and no default identity is provided in agent configuration",
        ]),
        ({"TaskGroups": [{"Name": "g", "Tasks": [{**TASK, "Vault": {}, "Identities": [{"Name": "vault_default"}]}]}]}, []),
        ({"TaskGroups": [{**GROUP, "Count": 6}]}, ["total count was greater than configured job_max_count: 6 > 5"]),
    ],
)  # fmt: skip
def test_jobs(fields: dict[str, Any], texts: list[str]) -> None:
    assert found(**fields) == texts


@pytest.mark.parametrize(
    ("fields", "kind", "texts"),
    [
        ({}, "service", []),
        ({"Name": "a\0"}, "service", ["Task group name contains null character"]),
        ({"Count": -1}, "service", ["Task group count can't be negative"]),
        ({"Tasks": None}, "service", ["Missing tasks for task group"]),
        ({"Disconnect": {"Reconcile": "x"}}, "service", ["reconcile option is invalid: x"]),
        ({"MaxRunDuration": 0}, "service", ["MaxRunDuration must be greater than zero", 'Job type "service" does not allow max_run_duration']),
        ({"MaxRunDuration": 1}, "sysbatch", []),
        ({"Constraints": [{"Operand": "x", "LTarget": "a"}]}, "service", ["Constraint 1 validation failed: " + listed('Unknown constraint type "x"')]),
        (
            {"Affinities": [{}], "Spreads": [{}], "RestartPolicy": {"Attempts": 1, "Mode": "x", "Interval": 10**10}}, "system",
            ["System jobs may not have an affinity block", 'Unsupported restart mode: "x"', "System jobs may not have a spread block"],
        ),
        ({"ReschedulePolicy": {}}, "sysbatch", ["System or sysbatch jobs should not have a reschedule policy"]),
        ({"EphemeralDisk": {"SizeMB": 1}}, "service", ["minimum DiskMB value is 10; got 1"]),
        ({"Migrate": {}}, "batch", ['Job type "batch" does not allow migrate block']),
        ({"Tasks": [TASK, TASK, {"Driver": "d"}]}, "service", [
            "Task 2 redefines 't' from task 1", "Task 3 missing name", "Task  validation failed: " + listed("Missing task name"),
        ]),
        ({"Tasks": [{**TASK, "Leader": True}, {"Name": "u", "Driver": "d", "Leader": True}]}, "service", ["Only one task may be marked as leader"]),
        ({"Tasks": [{**TASK, "Lifecycle": {"Hook": "prestart"}}]}, "service", ["Task group g must have at least one main task"]),
        ({"Volumes": {"v": {"Type": "host"}}}, "service", ["Task group volume validation for v failed: " + listed("volume has an empty source")]),
        ({"Networks": [{"Hostname": ".."}]}, "service", ["Task group network validation failed: " + listed("Hostname is not a valid DNS name")]),
        ({"Services": [{"Name": "d", "AddressMode": "driver"}]}, "service", [
            "Task group service validation failed: "
            + listed('service "d" cannot use address_mode="driver", only services defined in a "task" block can use this mode'),
        ]),
        ({"Scaling": {"Max": 0}}, "service", [
            "Task group scaling policy validation failed: "
            + listed("Scaling policy invalid: task group count must not be greater than maximum count in scaling policy"),
        ]),
    ],
)  # fmt: skip
def test_groups(fields: dict[str, Any], kind: str, texts: list[str]) -> None:
    assert list(group_errors(msgspec.convert({**GROUP, **fields}, TaskGroup), kind)) == texts


def test_a_batch_group_with_an_update_block() -> None:
    group = msgspec.convert({**GROUP, "Update": {"HealthCheck": "x"}}, TaskGroup)
    errors = list(group_errors(group, "batch"))
    assert errors[:2] == ['Job type "batch" does not allow update block', 'Invalid health check given: "x"']


SIDECAR = {"SidecarService": {}}


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, []),
        ({"Services": [{"Name": "s", "Connect": SIDECAR}]}, [
            'connect sidecar: must have exactly one network for Consul Connect: group "g" has 0 networks']),
        ({"Services": [{"Name": "s", "Connect": SIDECAR}], "Networks": [{"Mode": "host"}]}, [
            'connect sidecar: invalid network mode for Consul Connect: group "g" uses network mode "host"; must be "bridge" or "cni/*"']),
        ({"Services": [{"Name": "s", "Connect": SIDECAR}], "Networks": [{"Mode": "cni/x"}]}, []),
        ({"Services": [{"Name": "s", "Checks": [{"Name": "c", "Expose": True}]}]}, ["exposed service check g->s->c requires use of sidecar_proxy"]),
        ({"Tasks": [{**TASK, "Vault": {}}]}, ['Vault "default" not enabled but used in the job']),
        ({"Tasks": [{**TASK, "Vault": {"Cluster": "x"}}]}, ['Vault "x" not enabled but used in the job', "non-default Vault cluster requires Nomad Enterprise"]),
        ({"Consul": {"Cluster": "x"}}, ["non-default Consul cluster requires Nomad Enterprise"]),
        ({"Services": [{"Name": "s", "Cluster": "x"}]}, ["non-default Consul cluster requires Nomad Enterprise"]),
        ({"Services": [{"Name": "s", "Cluster": "x", "Provider": "nomad"}]}, []),
        ({"Consul": {"Partition": "p"}, "Tasks": [{**TASK, "Consul": {"Partition": "q"}}]}, [
            'task.consul.partition "q" must match group.consul.partition "p" if both are set']),
    ],
)  # fmt: skip
def test_what_the_cluster_has(fields: dict[str, Any], texts: list[str]) -> None:
    assert list(cluster_errors(job(TaskGroups=[{**GROUP, **fields}]), Machine().view())) == texts


def test_namespaces_bound_drivers_and_network_modes() -> None:
    machine = Machine()
    transaction = machine.store.begin(5)
    enabled = NamespaceCapabilities(enabled_task_drivers=("exec",), disabled_network_modes=("host", "bridge"))
    transaction.put(NAMESPACES, Namespace(name="n", capabilities=enabled))
    disabled = NamespaceCapabilities(disabled_task_drivers=("b",), enabled_network_modes=())
    transaction.put(NAMESPACES, Namespace(name="m", capabilities=disabled))
    machine.store.commit(transaction)
    tasks = [{"Name": name, "Driver": name} for name in ("a", "b", "exec", "a")]
    groups = [{"Name": "g", "Tasks": tasks, "Networks": [{}, {"Mode": "bridge"}]}]
    view = machine.view()
    assert list(cluster_errors(job(Namespace="n", TaskGroups=groups), view)) == [
        'used task drivers ["a" "b"] are not allowed in namespace "n"',
        'used group network modes ["host" "bridge"] are not allowed in namespace "n"',
    ]
    assert list(cluster_errors(job(Namespace="m", TaskGroups=groups), view)) == [
        'used task driver "b" is not allowed in namespace "m"'
    ]
    assert list(cluster_errors(job(Namespace="no", NodePool="no"), view)) == [
        'job "j" is in nonexistent namespace "no"',
        'job "j" is in nonexistent node pool "no"',
    ]


def test_what_this_edition_does_not_have() -> None:
    tasks = [{**TASK, "Resources": {"NUMA": {"Affinity": "prefer"}}, "Schedule": {"Cron": {}}}]
    assert list(edition_errors(job(TaskGroups=[{"Name": "g", "Tasks": tasks}]))) == [
        "numa scheduling requires Nomad Enterprise",
        "task schedules requires Nomad Enterprise",
    ]
    assert not list(edition_errors(job(TaskGroups=[{"Name": "g", "Tasks": [{**TASK, "Resources": {"NUMA": {}}}]}])))


LONG = "é" * 513  # 1,026 bytes


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"ID": LONG}, "Job ID is 1026 bytes long, at most 1024 are readable by URL"),
        ({"TaskGroups": [{**GROUP, "Name": LONG}]}, "Task group name is 1026 bytes long, at most 1024 are readable by URL"),
        ({"TaskGroups": [{**GROUP, "Tasks": [{**TASK, "Name": LONG}]}]}, "Task name is 1026 bytes long"),
    ],
    ids=["job", "group", "task"],
)  # fmt: skip
def test_s20_names_of_urls_are_at_most_1_kib(fields: dict[str, Any], text: str) -> None:
    assert any(text in error for error in found(**fields))
    fitting = {
        name: msgspec.json.decode(msgspec.json.encode(value).replace(LONG.encode(), b"x" * 1024))
        for name, value in fields.items()
    }
    assert not any("bytes long" in error for error in found(**fitting))


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "email", "nomad_task", "nomad_new"])
def test_s21_no_job_says_registered_claims_of_itself(claim: str) -> None:
    for block in ({"Identity": {"Name": "default", "ExtraClaims": {claim: "x"}}},
                  {"Identities": [{"Name": "i", "ExtraClaims": {"team": "x", claim: "x"}}]}):  # fmt: skip
        errors = found(TaskGroups=[{**GROUP, "Tasks": [{**TASK, **block}]}])
        assert any(f'extra_claims must not set "{claim}"' in error for error in errors)
    fine = {"Identities": [{"Name": "i", "ExtraClaims": {"team": "x"}}]}
    assert not any("extra_claims" in error for error in found(TaskGroups=[{**GROUP, "Tasks": [{**TASK, **fine}]}]))
