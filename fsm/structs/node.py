"""Nodes and node pools (spec cluster §3, §7; client-rpc §6)."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.structs.base import Record

DAY = 86_400_000_000_000
INITIALIZING, READY, DOWN, DISCONNECTED = "initializing", "ready", "down", "disconnected"
ELIGIBLE, INELIGIBLE = "eligible", "ineligible"


class DrainStrategy(Record, frozen=True):
    """A drain in progress; the times are RFC 3339."""

    deadline: int = 0
    ignore_system_jobs: bool = False
    force_deadline: str | None = None
    started_at: str | None = None


class LastDrain(Record, frozen=True):
    """The newest drain, in progress or ended; the times are RFC 3339 in whole seconds."""

    accessor_id: str = ""
    meta: dict[str, str] | None = None
    started_at: str | None = None
    status: str = ""
    updated_at: str | None = None


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
    node_resources: dict[str, Any] | None = None
    reserved_resources: dict[str, Any] | None = None
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
    drivers: dict[str, Any] | None = None
    csi_controller_plugins: dict[str, Any] | None = None
    csi_node_plugins: dict[str, Any] | None = None
    last_drain: LastDrain | None = None
    last_missed_heartbeat_index: int = 0
    last_alloc_update_index: int = 0
    host_volumes: dict[str, Any] | None = None
    host_networks: dict[str, Any] | None = None
    cgroup_parent: str = ""
    node_max_allocs: int = 0
    identity_signing_key_id: str = ""
    gc_volumes_on_node_gc: bool = msgspec.field(default=False, name="GCVolumesOnNodeGC")
    create_index: int = 0
    modify_index: int = 0


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
