"""Nodes and node pools (spec cluster §3, §7; client-rpc §6)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from yurt.fsm.structs.base import Record, content_hash
from yurt.fsm.structs.network import Network

DAY = 86_400_000_000_000
INITIALIZING, READY, DOWN, DISCONNECTED = "initializing", "ready", "down", "disconnected"
ELIGIBLE, INELIGIBLE = "eligible", "ineligible"


class NodeCpu(Record, frozen=True):
    """CPU of a node: MHz, and the cores that can be reserved as a whole."""

    cpu_shares: int = msgspec.field(default=0, name="CpuShares")
    total_cpu_cores: int = msgspec.field(default=0, name="TotalCpuCores")
    reservable_cpu_cores: tuple[int, ...] | None = msgspec.field(default=None, name="ReservableCpuCores")


class NodeMemory(Record, frozen=True):
    """Memory of a node."""

    memory_mb: int = 0


class NodeDisk(Record, frozen=True):
    """Disk of a node."""

    disk_mb: int = 0


class NodeAddress(Record, frozen=True):
    """An address of a node's network under the name that jobs ask for; `reserved_ports` like `22,80-90`."""

    family: str = ""
    alias: str = ""
    address: str = ""
    reserved_ports: str = ""
    gateway: str = ""


class NodeNetwork(Record, frozen=True):
    """A network interface of a node with its addresses."""

    mode: str = ""
    device: str = ""
    mac_address: str = ""
    speed: int = 0
    addresses: tuple[NodeAddress, ...] | None = None


class DeviceInstance(Record, frozen=True):
    """One of several equal devices."""

    id: str = ""
    healthy: bool = False
    health_description: str = ""
    locality: dict[str, Any] | None = None


class DeviceAttribute(Record, frozen=True, omit_defaults=True):
    """A typed value with a unit; one of the four is set."""

    float_value: float | None = msgspec.field(default=None, name="Float")
    int_value: int | None = msgspec.field(default=None, name="Int")
    string_value: str | None = msgspec.field(default=None, name="String")
    bool_value: bool | None = msgspec.field(default=None, name="Bool")
    unit: str = ""


class NodeDevice(Record, frozen=True):
    """A group of equal devices of a node."""

    vendor: str = ""
    type: str = ""
    name: str = ""
    instances: tuple[DeviceInstance, ...] | None = None
    attributes: dict[str, DeviceAttribute] | None = None


class NodeResources(Record, frozen=True):
    """The total resources of a node."""

    cpu: NodeCpu = msgspec.field(default=NodeCpu(), name="Cpu")
    memory: NodeMemory = NodeMemory()
    disk: NodeDisk = NodeDisk()
    networks: tuple[Network, ...] | None = None
    node_networks: tuple[NodeNetwork, ...] | None = None
    devices: tuple[NodeDevice, ...] | None = None
    processors: dict[str, Any] | None = None
    min_dynamic_port: int = 0
    max_dynamic_port: int = 0


class ReservedCpu(Record, frozen=True):
    """CPU that is kept from allocations."""

    cpu_shares: int = msgspec.field(default=0, name="CpuShares")
    reserved_cpu_cores: tuple[int, ...] | None = msgspec.field(default=None, name="ReservedCpuCores")


class ReservedNetworks(Record, frozen=True):
    """Ports that are kept from allocations, like `22,80-90`."""

    reserved_host_ports: str = ""


class ReservedResources(Record, frozen=True):
    """The resources that a node keeps for itself."""

    cpu: ReservedCpu = msgspec.field(default=ReservedCpu(), name="Cpu")
    memory: NodeMemory = NodeMemory()
    disk: NodeDisk = NodeDisk()
    networks: ReservedNetworks = ReservedNetworks()


class Driver(Record, frozen=True):
    """A task driver as its node sees it; `update_time` is RFC 3339."""

    attributes: dict[str, str] | None = None
    detected: bool = False
    healthy: bool = False
    health_description: str = ""
    update_time: str | None = None


class HostVolume(Record, frozen=True):
    """A directory of a node that jobs may mount."""

    name: str = ""
    path: str = ""
    read_only: bool = False
    id: str = ""


class LastDrain(Record, frozen=True):
    """The newest drain of a node; the times are RFC 3339."""

    accessor_id: str = ""
    meta: dict[str, str] | None = None
    started_at: str | None = None
    status: str = ""
    updated_at: str | None = None


class DrainStrategy(Record, frozen=True):
    """A drain in progress; the times are RFC 3339."""

    deadline: int = 0
    ignore_system_jobs: bool = False
    force_deadline: str | None = None
    started_at: str | None = None


class NodeEvent(Record, frozen=True):
    """Something that happened to a node; `timestamp` is RFC 3339."""

    message: str = ""
    subsystem: str = ""
    details: dict[str, str] | None = None
    timestamp: str | None = None
    create_index: int = 0


class Node(Record, frozen=True):
    """A machine that runs allocations."""

    id: str = ""
    secret_id: str = ""
    datacenter: str = ""
    name: str = ""
    http_addr: str = ""
    tls_enabled: bool = False
    attributes: dict[str, str] | None = None
    node_resources: NodeResources | None = None
    reserved_resources: ReservedResources | None = None
    links: dict[str, str] | None = None
    meta: dict[str, str] | None = None
    node_class: str = ""
    node_pool: str = "default"
    computed_class: str = ""
    drain: bool = False
    drain_strategy: DrainStrategy | None = None
    scheduling_eligibility: str = ""
    status: str = ""
    status_description: str = ""
    status_updated_at: int = 0
    events: tuple[NodeEvent, ...] | None = None
    drivers: dict[str, Driver] | None = None
    csi_controller_plugins: dict[str, Any] | None = None
    csi_node_plugins: dict[str, Any] | None = None
    last_drain: LastDrain | None = None
    last_missed_heartbeat_index: int = 0
    last_alloc_update_index: int = 0
    host_volumes: dict[str, HostVolume] | None = None
    host_networks: dict[str, Any] | None = None
    cgroup_parent: str = ""
    node_max_allocs: int = 0
    identity_signing_key_id: str = ""
    gc_volumes_on_node_gc: bool = msgspec.field(default=False, name="GCVolumesOnNodeGC")
    create_index: int = 0
    modify_index: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether new allocations may be placed on it."""
        return self.status == READY and self.drain_strategy is None and self.scheduling_eligibility != INELIGIBLE


class NodePool(Record, frozen=True):
    """A set of nodes that jobs name."""

    name: str = ""
    description: str = ""
    meta: dict[str, str] | None = None
    node_identity_ttl: int = DAY
    scheduler_configuration: dict[str, Any] | None = None
    hash: str | None = None
    create_index: int = 0
    modify_index: int = 0

    def content_hash(self) -> str:
        """BLAKE2b-256 over what users set, as base64."""
        meta = sorted((self.meta or {}).items())
        fields = (self.name, self.description, meta, self.node_identity_ttl, self.scheduler_configuration)
        return base64.b64encode(content_hash(*fields)).decode()
