"""Networks and ports of groups and tasks; zero members are left out of their JSON (spec job-model §5.10)."""

from __future__ import annotations

from yurt.fsm.structs.base import Record, SparseRecord


class Port(SparseRecord, frozen=True):
    """A port: reserved (with a value) or dynamic."""

    label: str = ""
    value: int = 0
    to: int = 0
    host_network: str = ""
    ignore_collision: bool = False


class DNS(Record, frozen=True):
    """Name servers, search domains and options of a network namespace."""

    servers: tuple[str, ...] | None = None
    searches: tuple[str, ...] | None = None
    options: tuple[str, ...] | None = None


class CNI(Record, frozen=True):
    """Arguments for a CNI plugin."""

    args: dict[str, str] | None = None


class Network(SparseRecord, frozen=True):
    """The network that a group or task asks for."""

    mode: str = ""
    device: str = ""
    cidr: str = ""
    ip: str = ""
    hostname: str = ""
    mbits: int = 0
    dns: DNS | None = None
    cni: CNI | None = None
    reserved_ports: tuple[Port, ...] | None = None
    dynamic_ports: tuple[Port, ...] | None = None
