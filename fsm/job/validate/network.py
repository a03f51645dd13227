"""The validation of the networks and ports of a group and its tasks (spec job-model §5.10)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.network import CNI, Network, Port

PORT_MAX = 65535
HOST_NAME_MAX = 253
_DNS_NAME = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_GROUP = "taskgroup network"


def network_errors(group: TaskGroup) -> Iterator[str]:
    """Yield the errors of the networks of the group and of its tasks, which share labels and static ports."""
    labels: dict[str, str] = {}
    taken: dict[tuple[str, int], str] = {}
    for network in group.networks or ():
        yield from _errors(network, _GROUP, labels, taken)
    for task in group.tasks or ():
        if task.resources is not None:
            for network in task.resources.networks or ():
                yield from _errors(network, task.name, labels, taken)


def _errors(network: Network, owner: str, labels: dict[str, str], taken: dict[tuple[str, int], str]) -> Iterator[str]:
    for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
        if port.label in labels:
            yield f"Port label {port.label} already in use by {labels[port.label]}"
        else:
            labels[port.label] = owner
        if port.value:
            yield from _static_errors(port, owner, taken)
        yield from _mapping_errors(port)
        if port.ignore_collision and network.mode not in ("", "host"):
            yield f'Port "{port.label}" collision may not be ignored on non-host network mode "{network.mode}"'
    if network.cni is not None:
        yield from _cni_errors(network.cni)
    name = network.hostname
    if name and "${" not in name and (len(name) > HOST_NAME_MAX or not _DNS_NAME.fullmatch(name)):
        yield "Hostname is not a valid DNS name"


def _static_errors(port: Port, owner: str, taken: dict[tuple[str, int], str]) -> Iterator[str]:
    place = port.host_network, port.value
    if place in taken and not port.ignore_collision:
        yield f"Static port {port.value} already reserved by {taken[place]}"
    elif port.value > PORT_MAX:
        yield f"Port {port.label} ({port.value}) cannot be greater than {PORT_MAX}"
    else:
        taken.setdefault(place, f"{owner}:{port.label}")


def _mapping_errors(port: Port) -> Iterator[str]:
    if port.to < -1:
        yield f'Port "{port.label}" cannot be mapped to negative value {port.to}'
    elif port.to > PORT_MAX:
        yield f'Port "{port.label}" cannot be mapped to a port ({port.to}) greater than {PORT_MAX}'


def _cni_errors(cni: CNI) -> Iterator[str]:
    for key, value in (cni.args or {}).items():
        if ";" in key:
            yield f"invalid ';' character in CNI arg key \"{key}\""
        if ";" in value:
            yield f"invalid ';' character in CNI arg value \"{value}\""
