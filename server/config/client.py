"""The node agent's configuration (spec node-agent §20). Keys that this version does not need are unused."""

from __future__ import annotations

from typing import Any

import msgspec

Duration = str | int


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A block of the configuration; an unknown key is an error."""


class ServerJoin(Block, frozen=True):
    """Which servers to look for."""

    retry_join: list[str] = []
    retry_max: int = 0
    retry_interval: Duration = "30s"
    start_join: list[str] = []


class Reserved(Block, frozen=True):
    """The resources kept from allocations: CPU in MHz, memory and disk in MB, ports like `22,80-90`."""

    cpu: int = 0
    cores: str = ""
    memory: int = 0
    disk: int = 0
    reserved_ports: str = ""


class Artifact(Block, frozen=True):
    """Bounds of artifacts; 0 stands for none. The first bounds the whole download. Keys of other sources are unused."""

    http_read_timeout: Duration = "30m"
    http_max_size: str = "4GB"
    decompression_size_limit: str = "4GB"
    decompression_file_count_limit: int = 4096
    gcs_timeout: Duration = "30m"
    git_timeout: Duration = "30m"
    hg_timeout: Duration = "30m"
    s3_timeout: Duration = "30m"
    disable_artifact_inspection: bool = False
    disable_filesystem_isolation: bool = False
    filesystem_isolation_extra_paths: list[str] = []
    set_environment_variables: str = ""


class Client(Block, frozen=True):
    """The client block. `servers` are HOST[:PORT] of the servers' HTTP API.

    `introduction_token`: with access control, a token with `node:write` by which a new node registers.
    """

    enabled: bool = False
    servers: list[str] = []
    introduction_token: str = ""
    server_join: ServerJoin = ServerJoin()
    state_dir: str = ""
    alloc_dir: str = ""
    alloc_mounts_dir: str = ""
    host_volumes_dir: str = ""
    node_class: str = ""
    node_pool: str = "default"
    meta: dict[str, str] = {}
    options: dict[str, str] = {}
    chroot_env: dict[str, str] = {}
    network_interface: str = ""
    preferred_address_family: str = ""
    network_speed: int = 0
    cpu_total_compute: int = 0
    memory_total_mb: int = 0
    disk_total_mb: int = 0
    disk_free_mb: int = 0
    cpu_disable_dmidecode: bool = False
    reserved: Reserved = Reserved()
    reservable_cores: str = ""
    max_kill_timeout: Duration = "30s"
    client_min_port: int = 14_000
    client_max_port: int = 14_512
    min_dynamic_port: int = 20_000
    max_dynamic_port: int = 32_000
    gc_interval: Duration = "1m"
    gc_parallel_destroys: int = 2
    gc_disk_usage_threshold: float = 80.0
    gc_inode_usage_threshold: float = 70.0
    gc_max_allocs: int = 50
    gc_volumes_on_node_gc: bool = False
    no_host_uuid: bool = True
    disable_remote_exec: bool = False
    template: Any = None
    artifact: Artifact = Artifact()
    host_volume: dict[str, Any] = {}
    host_network: dict[str, Any] = {}
    bind_wildcard_default_host_network: bool = True
    cni_path: str = ""
    cni_config_dir: str = ""
    bridge_network_name: str = ""
    bridge_network_subnet: str = ""
    bridge_network_subnet_ipv6: str = ""
    bridge_network_hairpin_mode: bool = False
    cgroup_parent: str = ""
    nomad_service_discovery: bool = True
    drain_on_shutdown: Any = None
    users: Any = None
    node_max_allocs: int = 0
    default_ineligible: bool = False
    fingerprint: Any = None
