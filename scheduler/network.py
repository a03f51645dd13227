"""Ports: which addresses a node has, which ports are taken, which ones an allocation gets (spec scheduling §11.6)."""

from __future__ import annotations

from typing import NamedTuple

from yurt.fsm.structs.allocation import AllocatedPort
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.network import Network, Port
from yurt.fsm.structs.node import Node
from yurt.scheduler.feasible.operands import resolve

DYNAMIC_FIRST, DYNAMIC_LAST = 20000, 32000
PORT_MAX = 65535
_RANDOM_TRIES = 20

UsedPorts = dict[str, set[int]]  # by address


class Address(NamedTuple):
    """An address of a node and the name of its host network."""

    alias: str
    ip: str


def addresses(node: Node) -> list[Address]:
    """The addresses that ports can be on."""
    resources = node.node_resources
    if resources is None:
        return []
    if resources.node_networks:
        return [
            Address(address.alias or "default", address.address)
            for network in resources.node_networks
            for address in network.addresses or ()
        ]
    return [Address("default", network.ip) for network in resources.networks or () if network.ip]


def reserved_ports(node: Node) -> UsedPorts:
    """The ports that a node keeps for itself."""
    used: UsedPorts = {address.ip: set() for address in addresses(node)}
    kept = node.reserved_resources.networks.reserved_host_ports if node.reserved_resources else ""
    for ports in used.values():
        ports.update(parse_ports(kept))
    for network in (node.node_resources.node_networks or ()) if node.node_resources else ():
        for address in network.addresses or ():
            used[address.address].update(parse_ports(address.reserved_ports))
    return used


def parse_ports(text: str) -> list[int]:
    """The ports of a list like `22,80-90`; what is no port is left out."""
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if low.isdigit() and (high.isdigit() or not high):
            found.extend(range(int(low), min(int(high or low), PORT_MAX) + 1))
    return found


def take(ports: tuple[AllocatedPort, ...] | None, used: UsedPorts) -> None:
    """Mark what an allocation has."""
    for port in ports or ():
        used.setdefault(port.host_ip, set()).add(port.value)


class Offer(NamedTuple):
    """The ports of an allocation, and its network with their values."""

    ports: tuple[AllocatedPort, ...]
    network: Network


def assign(node: Node, network: Network, used: UsedPorts, luck: int) -> Offer | str:
    """Ports for a group's network on a node, or the reason why there are none. `used` is not changed.

    `luck` is any number: dynamic ports begin there, so that those who choose at one time choose differently.
    """
    by_alias: dict[str, list[str]] = {}
    for address in addresses(node):
        by_alias.setdefault(address.alias, []).append(address.ip)
    taken = {ip: set(ports) for ip, ports in used.items()}
    found: dict[str, AllocatedPort] = {}
    for port in network.reserved_ports or ():
        one = _static(port, by_alias.get(host_network(port, node), []), taken)
        if isinstance(one, str):
            return one
        found[port.label] = one
    for number, port in enumerate(network.dynamic_ports or ()):
        one = _dynamic(node, port, by_alias.get(host_network(port, node), []), taken, luck + 7919 * number)
        if isinstance(one, str):
            return one
        found[port.label] = one
    given = replace(
        network,
        ip=next((one.host_ip for one in found.values()), ""),
        reserved_ports=_with_values(network.reserved_ports, found),
        dynamic_ports=_with_values(network.dynamic_ports, found),
    )
    return Offer(tuple(found.values()), given)


def host_network(port: Port, node: Node) -> str:
    """The name of the host network that a port asks for, "" if its template has no value on the node."""
    name = port.host_network or "default"
    return resolve(name, node) or ""


def _with_values(ports: tuple[Port, ...] | None, found: dict[str, AllocatedPort]) -> tuple[Port, ...] | None:
    if ports is None:
        return None
    return tuple(replace(one, value=found[one.label].value, to=found[one.label].to) for one in ports)


def _static(port: Port, ips: list[str], taken: UsedPorts) -> AllocatedPort | str:
    if not ips:
        return f"no addresses available for {port.host_network or 'default'} network"
    if not 0 < port.value <= PORT_MAX:
        return f"invalid port {port.value} (out of range)"
    for ip in ips:
        if port.ignore_collision or port.value not in taken[ip]:
            taken[ip].add(port.value)
            return _allocated(port, port.value, ip)
    return f"reserved port collision {port.label}={port.value}"


def _dynamic(node: Node, port: Port, ips: list[str], taken: UsedPorts, luck: int) -> AllocatedPort | str:
    if not ips:
        return f"no addresses available for {port.host_network or 'default'} network"
    resources = node.node_resources
    low = (resources.min_dynamic_port if resources else 0) or DYNAMIC_FIRST
    high = (resources.max_dynamic_port if resources else 0) or DYNAMIC_LAST
    span = high - low + 1
    for ip in ips:
        used = taken[ip]
        tries = [low + (luck + 104729 * number * number) % span for number in range(_RANDOM_TRIES)]
        value = next((one for one in tries if one not in used), None)
        if value is None:
            value = next((one for one in range(low, high + 1) if one not in used), None)
        if value is not None:
            used.add(value)
            return _allocated(port, value, ip)
    return "dynamic port selection failed"


def _allocated(port: Port, value: int, ip: str) -> AllocatedPort:
    to = value if port.to == -1 else port.to
    return AllocatedPort(label=port.label, value=value, to=to, host_ip=ip, ignore_collision=port.ignore_collision)
