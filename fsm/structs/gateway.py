"""Gateways of the mesh: a service that is a gateway itself (spec job-model §5.5.3, jobspec-hcl §11)."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.structs.base import Record

SECOND = 1_000_000_000


class GatewayBindAddress(Record, frozen=True):
    """Where a gateway listens."""

    name: str = ""
    address: str = ""
    port: int = 0


class GatewayProxy(Record, frozen=True):
    """The proxy that is the gateway."""

    connect_timeout: int | None = 5 * SECOND
    envoy_gateway_bind_tagged_addresses: bool = False
    envoy_gateway_bind_addresses: dict[str, GatewayBindAddress] | None = None
    envoy_gateway_no_default_bind: bool = False
    envoy_dns_discovery_type: str = ""
    config: dict[str, Any] | None = None


class GatewaySDS(Record, frozen=True):
    """Where a gateway gets its certificates."""

    cluster_name: str = ""
    cert_resource: str = ""


class GatewayTLS(Record, frozen=True):
    """Transport security of a gateway's listeners."""

    enabled: bool = False
    tls_min_version: str = ""
    tls_max_version: str = ""
    cipher_suites: tuple[str, ...] | None = None
    sds: GatewaySDS | None = msgspec.field(default=None, name="SDS")


class HTTPHeaderModifiers(Record, frozen=True):
    """Headers that a gateway changes."""

    add: dict[str, str] | None = None
    set: dict[str, str] | None = None
    remove: tuple[str, ...] | None = None


class IngressService(Record, frozen=True):
    """A service that an ingress gateway lets in."""

    name: str = ""
    hosts: tuple[str, ...] | None = None
    tls: GatewayTLS | None = None
    request_headers: HTTPHeaderModifiers | None = None
    response_headers: HTTPHeaderModifiers | None = None
    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None


class IngressListener(Record, frozen=True):
    """A port of an ingress gateway."""

    port: int = 0
    protocol: str = "tcp"
    services: tuple[IngressService, ...] | None = None


class IngressGateway(Record, frozen=True):
    """A gateway into the mesh."""

    tls: GatewayTLS | None = None
    listeners: tuple[IngressListener, ...] | None = None


class LinkedService(Record, frozen=True):
    """A service outside that a terminating gateway speaks to."""

    name: str = ""
    ca_file: str = msgspec.field(default="", name="CAFile")
    cert_file: str = ""
    key_file: str = ""
    sni: str = msgspec.field(default="", name="SNI")


class TerminatingGateway(Record, frozen=True):
    """A gateway out of the mesh."""

    services: tuple[LinkedService, ...] | None = None


class MeshGateway(Record, frozen=True):
    """A gateway between meshes."""


class Gateway(Record, frozen=True):
    """A service's gateway: its proxy, and the block of its kind (ingress, terminating or mesh)."""

    proxy: GatewayProxy | None = None
    ingress: IngressGateway | None = None
    terminating: TerminatingGateway | None = None
    mesh: MeshGateway | None = None
