"""Services, their checks and Connect (spec job-model §5.5)."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.structs.base import Record
from yurt.fsm.structs.gateway import Gateway
from yurt.fsm.structs.identity import WorkloadIdentity
from yurt.fsm.structs.resources import LogConfig, Resources
from yurt.fsm.structs.volume import VolumeMount

SECOND = 1_000_000_000


class CheckRestart(Record, frozen=True):
    """When failing checks restart their task."""

    limit: int = 0
    grace: int = SECOND
    ignore_warnings: bool = False


class Check(Record, frozen=True):
    """A health check of a service."""

    name: str = ""
    type: str = ""
    command: str = ""
    args: tuple[str, ...] | None = None
    path: str = ""
    protocol: str = ""
    port_label: str = ""
    expose: bool = False
    address_mode: str = ""
    interval: int = 0
    timeout: int = 0
    initial_status: str = ""
    notes: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    header: dict[str, tuple[str, ...]] | None = None
    method: str = ""
    body: str = ""
    grpc_service: str = ""
    grpc_use_tls: bool = False
    success_before_passing: int = 0
    failures_before_critical: int = 0
    failures_before_warning: int = 0
    on_update: str = ""
    task_name: str = ""
    check_restart: CheckRestart | None = None


class Upstream(Record, frozen=True):
    """A service that a sidecar reaches for its task."""

    destination_name: str = ""
    destination_namespace: str = ""
    destination_peer: str = ""
    destination_partition: str = ""
    destination_type: str = ""
    local_bind_socket_path: str = ""
    local_bind_socket_mode: str = ""
    local_bind_port: int = 0
    datacenter: str = ""
    local_bind_address: str = ""
    mesh_gateway: dict[str, Any] | None = None
    config: dict[str, Any] | None = None


class ExposePath(Record, frozen=True):
    """A path that a sidecar lets through."""

    path: str = ""
    protocol: str = ""
    local_path_port: int = 0
    listener_port: str = ""


class Expose(Record, frozen=True):
    """Paths that a sidecar lets through."""

    paths: tuple[ExposePath, ...] | None = None


class TransparentProxy(Record, frozen=True):
    """Redirection of all traffic through the sidecar."""

    uid: str = msgspec.field(default="", name="UID")
    outbound_port: int = 0
    exclude_inbound_ports: tuple[str, ...] | None = None
    exclude_outbound_ports: tuple[int, ...] | None = None
    exclude_outbound_cidrs: tuple[str, ...] | None = msgspec.field(default=None, name="ExcludeOutboundCIDRs")
    exclude_uids: tuple[str, ...] | None = msgspec.field(default=None, name="ExcludeUIDs")
    no_dns: bool = False


class Proxy(Record, frozen=True):
    """The proxy of a sidecar."""

    local_service_address: str = ""
    local_service_port: int = 0
    upstreams: tuple[Upstream, ...] | None = None
    expose: Expose | None = None
    transparent_proxy: TransparentProxy | None = None
    config: dict[str, Any] | None = None


class SidecarService(Record, frozen=True):
    """The sidecar's own service."""

    tags: tuple[str, ...] | None = None
    port: str = ""
    proxy: Proxy | None = None
    disable_default_tcp_check: bool = msgspec.field(default=False, name="DisableDefaultTCPCheck")
    meta: dict[str, str] | None = None


class SidecarTask(Record, frozen=True):
    """The user's changes to the sidecar's task."""

    name: str = ""
    driver: str = ""
    user: str = ""
    config: dict[str, Any] | None = None
    env: dict[str, str] | None = None
    resources: Resources | None = None
    meta: dict[str, str] | None = None
    kill_timeout: int | None = None
    log_config: LogConfig | None = None
    shutdown_delay: int | None = None
    kill_signal: str = ""
    volume_mounts: tuple[VolumeMount, ...] | None = None


class Connect(Record, frozen=True):
    """A service in the mesh."""

    native: bool = False
    sidecar_service: SidecarService | None = None
    sidecar_task: SidecarTask | None = None
    gateway: Gateway | None = None


class Weights(Record, frozen=True):
    """Weights of a service's address in answers of its catalogue."""

    passing: int = 1
    warning: int = 1


class Service(Record, frozen=True):
    """A service of a group or task."""

    name: str = ""
    task_name: str = ""
    port_label: str = ""
    address_mode: str = "auto"
    address: str = ""
    enable_tag_override: bool = False
    tags: tuple[str, ...] | None = None
    canary_tags: tuple[str, ...] | None = None
    checks: tuple[Check, ...] | None = None
    connect: Connect | None = None
    meta: dict[str, str] | None = None
    canary_meta: dict[str, str] | None = None
    tagged_addresses: dict[str, str] | None = None
    weights: Weights | None = None
    namespace: str = ""
    on_update: str = "require_healthy"
    provider: str = "consul"
    cluster: str = "default"
    identity: WorkloadIdentity | None = None
    kind: str = ""
