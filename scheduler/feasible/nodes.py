"""Whether one node can run a group at all, and the text of what stops it (spec scheduling §11.3, §11.5).

Everything here but host volumes is the same for all nodes of a computed class, unless a constraint escapes.
"""

from __future__ import annotations

from collections.abc import Iterable

from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import Node
from yurt.scheduler.devices import matching
from yurt.scheduler.feasible.operands import DISTINCT_HOSTS, DISTINCT_PROPERTY, node_meets
from yurt.scheduler.network import addresses, host_network

_DISTINCT = (DISTINCT_HOSTS, DISTINCT_PROPERTY)


def plain_constraints(constraints: Iterable[Constraint] | None) -> list[Constraint]:
    """The constraints that look at the node alone."""
    return [one for one in constraints or () if one.operand not in _DISTINCT]


def group_constraints(group: TaskGroup) -> list[Constraint]:
    """The plain constraints of a group and its tasks."""
    tasks = [one for task in group.tasks or () for one in plain_constraints(task.constraints)]
    return plain_constraints(group.constraints) + tasks


def job_refusal(job: Job, node: Node) -> str:
    """The first constraint of the job that a node does not meet, "" if it meets all."""
    return _constraint_refusal(plain_constraints(job.constraints), node)


def _constraint_refusal(constraints: list[Constraint], node: Node) -> str:
    for one in constraints:
        if not node_meets(one, node):
            return f"{one.ltarget} {one.operand} {one.rtarget}"
    return ""


def group_refusal(group: TaskGroup, node: Node) -> str:
    """The first thing that stops a group on nodes of this class, "" if nothing does."""
    if not _has_drivers(group, node):
        return "missing drivers"
    return (
        _constraint_refusal(group_constraints(group), node)
        or _device_refusal(group, node)
        or _network_refusal(group, node)
        or _secrets_refusal(group, node)
    )


def _has_drivers(group: TaskGroup, node: Node) -> bool:
    drivers = node.drivers or {}
    for task in group.tasks or ():
        driver = drivers.get(task.driver)
        if driver is None or not driver.detected or not driver.healthy:
            return False
    return True


def _device_refusal(group: TaskGroup, node: Node) -> str:
    for task in group.tasks or ():
        for wanted in (task.resources.devices or ()) if task.resources else ():
            if not matching(node, wanted):
                return "missing devices"
    return ""


def _network_refusal(group: TaskGroup, node: Node) -> str:
    network = group.networks[0] if group.networks else None
    mode = (network.mode if network else "") or "host"
    if mode == "none":
        return ""
    if mode not in _modes(node):
        return "missing network"
    aliases = [address.alias for address in addresses(node)]
    for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())) if network else ():
        if port.host_network in ("", "default"):
            continue
        name = host_network(port, node)
        if not name:
            return f'invalid host network "{port.host_network}" template for port "{port.label}"'
        if name not in aliases:
            return f'missing host network "{port.host_network}" for port "{port.label}"'
    return ""


def _modes(node: Node) -> list[str]:
    resources = node.node_resources
    if resources is None:
        return []
    modes = [network.mode or "host" for network in resources.networks or ()]
    return modes + [network.mode or "host" for network in resources.node_networks or ()]


def _secrets_refusal(group: TaskGroup, node: Node) -> str:
    attributes = node.attributes or {}
    for task in group.tasks or ():
        for secret in task.secrets or ():
            if f"plugins.secrets.{secret.provider}.version" not in attributes:
                return "missing secrets provider"
    return ""


def volume_refusal(group: TaskGroup, node: Node, index: int | None = None) -> str:
    """Whether a host volume is missing; volumes of each allocation only for that of the index in its name."""
    for request in (group.volumes or {}).values():
        if request.type != "host" or (request.per_alloc and index is None):
            continue
        source = f"{request.source}[{index}]" if request.per_alloc else request.source
        volume = (node.host_volumes or {}).get(source)
        if volume is None or (volume.read_only and not request.read_only):
            return "missing compatible host volumes"
    return ""


def matches_datacenter(patterns: Iterable[str], datacenter: str) -> bool:
    """Whether one of a job's datacenters, perhaps with `*` in it, is this one."""
    return any(_glob(pattern, datacenter) for pattern in patterns)


def _glob(pattern: str, text: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    if not text.startswith(first) or len(text) < len(first) + len(rest[-1]) or not text.endswith(rest[-1]):
        return False
    at, end = len(first), len(text) - len(rest[-1])
    for part in rest[:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
