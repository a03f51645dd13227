"""What a task finds in its environment, and what its specification may say (spec node-agent §10)."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.fsm.structs.allocation import (
    AllocatedCpu,
    AllocatedMemory,
    AllocatedPort,
    AllocatedResources,
    AllocatedShared,
    AllocatedTask,
    Allocation,
)
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job, ParameterizedJob
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.task import Task
from yurt.server.client.environment import DENIED, Environment, clean, environment

NODE = Node(
    id="node-id", name="n1", datacenter="dc7", node_class="big", node_pool="pool", cgroup_parent="nomad.slice",
    attributes={"kernel.name": "linux"}, meta={"rack": "r1"},
)  # fmt: skip
PORTS = (
    AllocatedPort(label="http", value=25000, to=80, host_ip="10.0.0.1"),
    AllocatedPort(label="my-db", value=25001, host_ip="10.0.0.1"),
)


def found(task: Task | None = None, host: dict[str, str] | None = None, **job: Any) -> Environment:
    task = task or Task(name="t")
    group = TaskGroup(name="g", tasks=(task,), meta={"grp-key": "G", "both": "group"})
    resources = AllocatedResources(
        tasks={"t": AllocatedTask(cpu=AllocatedCpu(cpu_shares=100), memory=AllocatedMemory(memory_mb=64))},
        shared=AllocatedShared(ports=PORTS),
    )
    row = Allocation(
        id="12345678-aaaa", name="j.g[3]", namespace="ns", job_id="j", task_group="g", allocated_resources=resources,
        job=Job(id="j", name="jay", task_groups=(group,), meta={"both": "job", "owner": "me"}, **job),
    )  # fmt: skip
    return environment(row, task, NODE, {"NOMAD_TASK_DIR": "/a/t/local"}, host or {}, "global")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOMAD_ALLOC_ID", "12345678-aaaa"), ("NOMAD_SHORT_ALLOC_ID", "12345678"), ("NOMAD_ALLOC_NAME", "j.g[3]"),
        ("NOMAD_ALLOC_INDEX", "3"), ("NOMAD_TASK_NAME", "t"), ("NOMAD_GROUP_NAME", "g"), ("NOMAD_JOB_ID", "j"),
        ("NOMAD_JOB_NAME", "jay"), ("NOMAD_NAMESPACE", "ns"), ("NOMAD_REGION", "global"), ("NOMAD_DC", "dc7"),
        ("NOMAD_CPU_LIMIT", "100"), ("NOMAD_MEMORY_LIMIT", "64"), ("NOMAD_CPU_CORES", ""),
        ("NOMAD_PARENT_CGROUP", "nomad.slice"), ("NOMAD_TASK_DIR", "/a/t/local"),
        ("NOMAD_PORT_http", "80"), ("NOMAD_ALLOC_PORT_http", "80"), ("NOMAD_HOST_PORT_http", "25000"),
        ("NOMAD_IP_http", "10.0.0.1"), ("NOMAD_ADDR_http", "10.0.0.1:25000"),
        ("NOMAD_PORT_my_db", "25001"), ("NOMAD_HOST_ADDR_my_db", "10.0.0.1:25001"),
        ("NOMAD_META_grp_key", "G"), ("NOMAD_META_GRP_KEY", "G"), ("NOMAD_META_both", "group"),
        ("NOMAD_META_owner", "me"),
    ],
)  # fmt: skip
def test_variables(name: str, value: str) -> None:
    assert found().variables[name] == value


def test_what_is_not_there_is_not_set() -> None:
    assert not {"NOMAD_JOB_PARENT_ID", "NOMAD_MEMORY_MAX_LIMIT"} & set(found().variables)


def test_optional_meta_that_was_not_given_is_empty() -> None:
    rules = ParameterizedJob(meta_optional=("given", "owner"))
    variables = found(parameterized_job=rules).variables
    assert (variables["NOMAD_META_given"], variables["NOMAD_META_owner"]) == ("", "me")


def test_the_agent_s_own_environment_comes_below_without_its_secrets() -> None:
    host = {"PATH": "/bin", "NOMAD_DC": "wrong", "A": "host", **dict.fromkeys(DENIED, "secret")}
    variables = found(Task(name="t", env={"A": "task"}), host).variables
    assert (variables["PATH"], variables["NOMAD_DC"], variables["A"]) == ("/bin", "dc7", "task")
    assert not DENIED & set(variables)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("${NOMAD_TASK_NAME}-x", "t-x"), ("${node.unique.id}/${node.datacenter}", "node-id/dc7"),
        ("${attr.kernel.name}", "linux"), ("${meta.rack}", "r1"), ('${env["PATH"]}', "/bin"), ("${env.PATH}", "/bin"),
        ("${nothing.of.this}", "${nothing.of.this}"), ("$NOMAD_TASK_NAME", "$NOMAD_TASK_NAME"), ("${", "${"),
        ("${A}", "1"),
    ],
)  # fmt: skip
def test_interpolation(text: str, wanted: str) -> None:
    env = found(Task(name="t", env={"A": "1"}), {"PATH": "/bin"})
    assert env.text(text) == wanted
    assert env.within({"k": [text, {"n": text}], "i": 3}) == {"k": [wanted, {"n": wanted}], "i": 3}


def test_values_of_the_task_s_own_environment_know_the_task_but_not_the_agent() -> None:
    variables = found(Task(name="t", env={"A": "${NOMAD_DC}", "B": '${env["PATH"]}'}), {"PATH": "/bin"}).variables
    assert (variables["A"], variables["B"]) == ("dc7", '${env["PATH"]}')


def test_names_are_cleaned() -> None:
    assert clean("a-b.c d_é1") == "a_b_c_d__1"
