"""The agent's configuration: every key, with its default (spec cluster §16).

Durations are texts (`10s`) or nanoseconds. Keys that other agents know and Yurt does not need are accepted and unused.
"""

from __future__ import annotations

import socket
from typing import Any, Literal

import msgspec

from yurt.fsm.job.decode import DEPTH_MAX
from yurt.fsm.lang.duration import parse_duration
from yurt.fsm.structs.operator import PreemptionConfig, SchedulerConfiguration
from yurt.server.config.client import Client
from yurt.server.platform.address import join_address, with_port

Text = str
Duration = str | int


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A block of the configuration; an unknown key is an error."""


class Ports(Block, frozen=True):
    """Ports of this agent; `serf` is accepted and unused."""

    http: int = 4646
    rpc: int = 4647
    serf: int = 4648


class Addresses(Block, frozen=True):
    """Addresses to bind, in place of `bind_addr`; `http` may list several, separated by spaces."""

    http: str = ""
    rpc: str = ""
    serf: str = ""


class Join(Block, frozen=True):
    """Which servers to look for."""

    retry_join: list[str] = []
    retry_max: int = 0
    retry_interval: Duration = "30s"
    start_join: list[str] = []


class PreemptionDefaults(Block, frozen=True):
    """Which schedulers may evict allocations of lower priority."""

    batch_scheduler_enabled: bool = False
    service_scheduler_enabled: bool = False
    sysbatch_scheduler_enabled: bool = False
    system_scheduler_enabled: bool = True


class SchedulerDefaults(Block, frozen=True):
    """The scheduler configuration that a new cluster begins with; afterwards the API changes it."""

    scheduler_algorithm: Literal["binpack", "spread"] = "binpack"
    preemption_config: PreemptionDefaults = PreemptionDefaults()
    memory_oversubscription_enabled: bool = False
    reject_job_registration: bool = False
    pause_eval_broker: bool = False
    node_limit_for_feasibility_checks: int = 0

    def record(self) -> SchedulerConfiguration:
        """The state's record."""
        fields: dict[str, Any] = msgspec.structs.asdict(self)
        given = self.preemption_config
        fields["preemption_config"] = PreemptionConfig(
            batch_scheduler_enabled=given.batch_scheduler_enabled,
            service_scheduler_enabled=given.service_scheduler_enabled,
            sys_batch_scheduler_enabled=given.sysbatch_scheduler_enabled,
            system_scheduler_enabled=given.system_scheduler_enabled,
        )
        return SchedulerConfiguration(**fields)


class Library(Block, frozen=True):
    """Where pysyncobj listens, if the server runs on it: HOST:PORT, what the others dial, and its password."""

    address: str = ""  # empty: the rpc host, and a port that is chosen at the first start and kept
    advertise: str = ""  # empty: `address`, or the host of the advertised rpc address
    password: str = ""


class Server(Block, frozen=True):
    """The server part."""

    enabled: bool = False
    bootstrap_expect: int = 0
    data_dir: str = ""
    server_join: Join = Join()
    retry_join: list[str] = []
    start_join: list[str] = []
    retry_max: int = 0
    retry_interval: Duration = "30s"
    rejoin_after_leave: bool = False
    num_schedulers: int | None = None
    enabled_schedulers: tuple[str, ...] = ("service", "batch", "system", "sysbatch", "_core")
    raft_engine: Literal["core", "pysyncobj"] = "core"  # ours
    pysyncobj: Library = Library()  # ours
    raft_multiplier: int = 1
    raft_protocol: int = 3
    raft_snapshot_threshold: int = 8192
    raft_snapshot_interval: Duration = "120s"
    raft_trailing_logs: int = 10_240
    eval_gc_threshold: Duration = "1h"
    batch_eval_gc_threshold: Duration = "24h"
    job_gc_interval: Duration = "5m"
    job_gc_threshold: Duration = "4h"
    deployment_gc_threshold: Duration = "1h"
    node_gc_threshold: Duration = "24h"
    acl_token_gc_threshold: Duration = "1h"
    heartbeat_grace: Duration = "10s"
    min_heartbeat_ttl: Duration = "10s"
    max_heartbeats_per_second: float = 50.0
    failover_heartbeat_ttl: Duration = "5m"
    non_voting_server: bool = False
    encrypt: str = ""  # a cluster secret too
    cluster_secret: str | list[str] = []  # ours: the first is used, all are accepted
    cluster_secret_file: str = ""  # ours: a secret a line
    allow_insecure_rpc: bool = False  # ours: access control without a secret or TLS, beyond loopback
    key_encryption_keys: list[str] = []  # ours: "file:/PATH" or "env:NAME"; the first wraps root keys, all unwrap
    default_scheduler_config: SchedulerDefaults = SchedulerDefaults()
    plan_rejection_tracker: dict[str, Any] = {}
    enable_event_broker: bool = True
    event_buffer_size: int = 100
    allow_node_tokens: bool = False  # ours: nodes of versions before statements get their callers' tokens
    record_authors: bool = False  # ours: who did what, in versions and scaling events
    search: dict[str, Any] = {}
    job_default_priority: int = 50
    job_max_priority: int = 100
    job_max_count: int = 50_000
    job_max_source_size: str = "1M"
    job_tracked_versions: int = 6
    oidc_issuer: str = ""
    authoritative_region: str = ""


class Limits(Block, frozen=True):
    """Limits on connections and requests; the `http_*` ones after the first two are ours."""

    http_max_conns_per_client: int = 100
    https_handshake_timeout: Duration = "5s"
    rpc_max_conns_per_client: int = 100  # of one address, members not counted
    rpc_max_conns: int = 0  # ours; 0: an eighth of the files that may be open, at most 1,024; half is for members
    rpc_handshake_timeout: Duration = "5s"
    rpc_max_streams_per_client: int | None = None
    http_max_conns: int = 0  # 0: as many as there may be open files, less some
    http_request_timeout: Duration = "10s"
    http_write_timeout: Duration = "60s"
    http_head_bytes_max: int = 32 << 10
    http_headers_max: int = 100
    http_target_bytes_max: int = 8 << 10
    http_body_bytes_max: int = 16 << 20  # of jobs; most other bodies have lower bounds of their own
    http_bodies_bytes_max: int = 128 << 20  # of the bodies of all requests in work
    http_json_depth_max: int = DEPTH_MAX  # of bodies; no more than that: what reads them recurses
    http_blocking_queries_max: int = 10_000
    http_blocking_queries_max_per_client: int = 0  # 0: as many as it may have connections
    http_rate_limit: float = 0.0  # requests a second of one address; 0: any
    http_rate_limit_burst: int = 0  # 0: those of a second
    http_token_rate_limit: float = 0.0  # the same of one ACL token
    http_token_rate_limit_burst: int = 0
    http_allowed_origins: list[str] = []  # whose pages may change things and open WebSockets, beside the agent's own
    http_allowed_hosts: list[str] = []  # names by which the agent may be called, beside localhost and addresses


class Tls(Block, frozen=True):
    """Certificates; `rpc` makes servers speak mutual TLS, `http` makes the API HTTPS."""

    http: bool = False
    rpc: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify_server_hostname: bool | None = None  # None: as `rpc`, see `config/load.py`
    verify_https_client: bool = False
    rpc_upgrade_mode: bool = False
    tls_cipher_suites: str = ""
    tls_min_version: str = "tls12"
    tls_prefer_server_cipher_suites: bool = False


class Telemetry(Block, frozen=True):
    """Metrics; sinks other than the API are accepted and unused."""

    prometheus_metrics: bool = False
    otel: bool = False  # ours: OpenTelemetry traces
    otel_endpoint: str = ""  # http://HOST:4318; else as OTEL_* variables say
    collection_interval: Duration = "1s"
    disable_hostname: bool = False
    use_node_name: bool = False
    publish_allocation_metrics: bool = False
    publish_node_metrics: bool = False
    statsd_address: str = ""
    statsite_address: str = ""


class Acl(Block, frozen=True):
    """Access control. Every request is decided from this server's own state, so the `*_ttl` have no work to do."""

    enabled: bool = False
    token_ttl: Duration = "30s"
    policy_ttl: Duration = "30s"
    role_ttl: Duration = "30s"
    token_min_expiration_ttl: Duration = "1m"
    token_max_expiration_ttl: Duration = "24h"
    replication_token: str = ""


class Autopilot(Block, frozen=True):
    """How the leader looks after the servers, until an operator sets it by the API (spec cluster §11)."""

    cleanup_dead_servers: bool = True
    last_contact_threshold: Duration = "200ms"
    max_trailing_logs: int = 250
    min_quorum: int = 0
    server_stabilization_time: Duration = "10s"
    enable_redundancy_zones: bool = False
    disable_upgrade_migration: bool = False
    enable_custom_upgrades: bool = False


class Ui(Block, frozen=True):
    """The web page at /ui/; other keys than the first are accepted and unused."""

    enabled: bool = True
    show_cli_hints: bool | None = None
    label: Any = None
    consul: Any = None
    vault: Any = None
    content_security_policy: Any = None


class AuditSink(Block, frozen=True):
    """A file for the audit log."""

    type: str = "file"
    format: str = "json"
    path: str = ""  # DATA_DIR/audit/audit.log
    delivery_guarantee: str = "best-effort"
    rotate_bytes: int = 0
    rotate_duration: Duration = "24h"
    rotate_max_files: int = 0


class Audit(Block, frozen=True):
    """The settings of the audit log: who did what, with which result."""

    enabled: bool = False
    sink: dict[str, AuditSink] = {}


class AgentConfig(Block, frozen=True):
    """The whole configuration."""

    region: str = "global"
    datacenter: str = "dc1"
    name: str = ""
    data_dir: str = ""
    bind_addr: str = "127.0.0.1"
    log_level: str = "INFO"
    log_json: bool | None = None
    log_file: str = ""
    log_rotate_bytes: int = 0
    log_rotate_duration: Duration = "24h"
    log_rotate_max_files: int = 0
    enable_debug: bool = False
    enable_syslog: bool = False
    syslog_facility: str = ""
    disable_update_check: bool = True
    disable_anonymous_signature: bool = True
    leave_on_interrupt: bool = False
    leave_on_terminate: bool = False
    http_api_response_headers: dict[str, str] = {}
    ports: Ports = Ports()
    addresses: Addresses = Addresses()
    advertise: Addresses = Addresses()
    server: Server = Server()
    limits: Limits = Limits()
    tls: Tls = Tls()
    telemetry: Telemetry = Telemetry()
    client: Client = Client()
    acl: Acl = Acl()
    autopilot: Autopilot = Autopilot()
    plugin: Any = None
    plugin_dir: str = ""
    ui: Ui = Ui()
    consul: Any = None
    vault: Any = None
    audit: Audit = Audit()
    sentinel: Any = None
    keyring: Any = None
    reporting: Any = None
    eventlog: Any = None
    users: Any = None
    rpc: Any = None
    dev: bool = False

    @property
    def node_name(self) -> str:
        """The name, else the machine's."""
        return self.name or socket.gethostname()

    def bind(self, service: str) -> list[str]:
        """The addresses that a service (`http`, `rpc`) binds."""
        given: str = getattr(self.addresses, service)
        return given.split() or [self.bind_addr]

    def advertised(self, service: str) -> str:
        """HOST:PORT under which others reach a service."""
        given: str = getattr(self.advertise, service)
        port: int = getattr(self.ports, service)
        if given:
            return with_port(given, port)
        host = self.bind(service)[0]
        return join_address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)

    def join_addresses(self) -> list[str]:
        """The peer addresses to dial."""
        server = self.server
        lists = (server.server_join.retry_join, server.server_join.start_join, server.retry_join, server.start_join)
        return [with_port(one, 4647) for listed in lists for one in listed]

    def server_addresses(self) -> list[str]:
        """HOST:PORT of the API of the servers that the node agent looks for."""
        client = self.client
        lists = (client.servers, client.server_join.retry_join, client.server_join.start_join)
        return [with_port(one, 4646) for listed in lists for one in listed]


def seconds(value: Duration) -> float:
    """A configured duration."""
    return nanoseconds(value) / 1e9


def nanoseconds(value: Duration) -> int:
    """A configured duration."""
    return parse_duration(value) if isinstance(value, str) else value


def size_bytes(text: str) -> int:
    """A configured size: decimal digits and k, M or G."""
    units = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
    digits = text.rstrip("bB")
    unit = units.get(digits[-1:], 1)
    return int(digits[:-1] if unit > 1 else digits) * unit
