"""The environment of a task, and the names that its specification may use (spec node-agent §10). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from yurt.fsm.structs.allocation import AllocatedTask, Allocation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.task import Task

DENIED = frozenset(
    (
        "CONSUL_TOKEN", "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "NOMAD_TOKEN", "VAULT_TOKEN",
        "CONSUL_LICENSE", "CONSUL_LICENSE_PATH", "NOMAD_LICENSE", "NOMAD_LICENSE_PATH", "VAULT_LICENSE",
        "VAULT_LICENSE_PATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_METADATA_URL",
        "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN",
    )
)  # fmt: skip
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_QUOTED = re.compile(r'env\["([^"]*)"\]')


def clean(name: str) -> str:
    """A name as it may stand in a variable's name."""
    return _NOT_A_NAME.sub("_", name)


class Environment:
    """The variables of a task, and interpolation over them and the node."""

    def __init__(
        self, variables: dict[str, str], names: Mapping[str, str], inherited: frozenset[str] = frozenset()
    ) -> None:
        self.variables, self.names = variables, names
        self.inherited = inherited  # names of variables that are the agent's own

    def text(self, text: str) -> str:
        """The text with every `${…}` that is known replaced; the others stay as they are."""
        return _REFERENCE.sub(self._found, text) if "${" in text else text

    def _found(self, match: re.Match[str]) -> str:
        name = match[1].strip()
        if name in self.variables:
            return self.variables[name]
        if name in self.names:
            return self.names[name]
        quoted = _QUOTED.fullmatch(name)
        asked = quoted[1] if quoted else name[4:] if name.startswith("env.") else None
        if asked is not None and asked in self.variables:
            return self.variables[asked]
        return match[0]

    def within(self, value: Any) -> Any:
        """The same for all texts in a value of a configuration."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.within(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.within(one) for one in value]
        return value


def environment(
    allocation: Allocation, task: Task, node: Node, directories: Mapping[str, str], host: Mapping[str, str], region: str
) -> Environment:
    """The environment of a task; `directories` are NOMAD_ALLOC_DIR and the like, `host` the agent's own variables."""
    job = allocation.job or Job()
    group = job.group(allocation.task_group) or TaskGroup()
    names = node_names(node, region)
    own: dict[str, str | None] = {
        **directories,
        **_identity(allocation, task, job, node, region),
        **_resources(allocation, task, node),
        **_ports(allocation),
        **_meta(job, group, task),
    }
    present = {name: value for name, value in own.items() if value is not None}
    known = Environment(present, names)
    variables = {name: value for name, value in host.items() if name not in DENIED}
    variables.update(present)
    variables.update({name: known.text(value) for name, value in (task.env or {}).items()})
    inherited = frozenset(set(host) - set(present) - set(task.env or {}))
    return Environment(variables, names, inherited)


def node_names(node: Node, region: str) -> dict[str, str]:
    """Return the node's names and values that specifications may use."""
    return {
        "node.unique.id": node.id,
        "node.unique.name": node.name,
        "node.datacenter": node.datacenter,
        "node.region": region,
        "node.class": node.node_class,
        "node.pool": node.node_pool,
        **{f"attr.{name}": value for name, value in (node.attributes or {}).items()},
        **{f"meta.{name}": value for name, value in (node.meta or {}).items()},
    }


def _identity(allocation: Allocation, task: Task, job: Job, node: Node, region: str) -> dict[str, str | None]:
    index = allocation.name.rpartition("[")[2].removesuffix("]")
    return {
        "NOMAD_ALLOC_ID": allocation.id,
        "NOMAD_SHORT_ALLOC_ID": allocation.id[:8],
        "NOMAD_ALLOC_NAME": allocation.name,
        "NOMAD_ALLOC_INDEX": index,
        "NOMAD_TASK_NAME": task.name,
        "NOMAD_GROUP_NAME": allocation.task_group,
        "NOMAD_JOB_ID": allocation.job_id,
        "NOMAD_JOB_NAME": job.name,
        "NOMAD_JOB_PARENT_ID": job.parent_id or None,
        "NOMAD_NAMESPACE": allocation.namespace,
        "NOMAD_REGION": region,
        "NOMAD_DC": node.datacenter,
    }


def _resources(allocation: Allocation, task: Task, node: Node) -> dict[str, str | None]:
    whole = allocation.allocated_resources
    given = (whole.tasks or {}).get(task.name, AllocatedTask()) if whole is not None else AllocatedTask()
    memory = given.memory
    return {
        "NOMAD_CPU_LIMIT": str(given.cpu.cpu_shares),
        "NOMAD_CPU_CORES": ",".join(str(one) for one in given.cpu.reserved_cores or ()),
        "NOMAD_MEMORY_LIMIT": str(memory.memory_mb),
        "NOMAD_MEMORY_MAX_LIMIT": str(memory.memory_max_mb) if memory.memory_max_mb else None,
        "NOMAD_PARENT_CGROUP": node.cgroup_parent,
    }


def _ports(allocation: Allocation) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    whole = allocation.allocated_resources
    for port in (whole.shared.ports or ()) if whole is not None else ():
        label, ip = clean(port.label), port.host_ip
        address = f"[{ip}]:{port.value}" if ":" in ip else f"{ip}:{port.value}"
        inside = str(port.to if port.to > 0 else port.value)
        found |= {
            f"NOMAD_PORT_{label}": inside,
            f"NOMAD_ALLOC_PORT_{label}": inside,
            f"NOMAD_HOST_PORT_{label}": str(port.value),
            f"NOMAD_IP_{label}": ip,
            f"NOMAD_HOST_IP_{label}": ip,
            f"NOMAD_ADDR_{label}": address,
            f"NOMAD_HOST_ADDR_{label}": address,
        }
    for name, task in (whole.tasks or {}).items() if whole is not None else ():
        for network in task.networks or ():
            for one in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
                for end in (clean(one.label), f"{clean(name)}_{clean(one.label)}"):
                    found[f"NOMAD_IP_{end}"] = network.ip
                    found[f"NOMAD_PORT_{end}"] = str(one.value)
                    found[f"NOMAD_ADDR_{end}"] = f"{network.ip}:{one.value}"
    return found


def _meta(job: Job, group: TaskGroup, task: Task) -> dict[str, str | None]:
    optional = job.parameterized_job.meta_optional or () if job.parameterized_job is not None else ()
    merged = {**dict.fromkeys(optional, ""), **(job.meta or {}), **(group.meta or {}), **(task.meta or {})}
    found: dict[str, str | None] = {}
    for name, value in merged.items():
        found[f"NOMAD_META_{clean(name)}"] = value
        found[f"NOMAD_META_{clean(name).upper()}"] = value
    return found
