"""The fingerprint of this machine: attributes, resources, drivers (spec node-agent §2)."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from yurt import __version__
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.node import (
    INITIALIZING,
    HostVolume,
    Node,
    NodeAddress,
    NodeCpu,
    NodeDisk,
    NodeMemory,
    NodeNetwork,
    NodeResources,
    ReservedCpu,
    ReservedNetworks,
    ReservedResources,
)
from yurt.server.acl.statements import ATTRIBUTE
from yurt.server.client.drivers.base import Driver
from yurt.server.client.identity import Identity
from yurt.server.config.agent import AgentConfig

WIRE_VERSION = "2.0.6"  # the level of the wire protocol that jobs' constraints may ask for
_VERSIONS = {
    "nomad.version": WIRE_VERSION, "nomad.service_discovery": "true", "yurt.version": __version__, ATTRIBUTE: "1",
}  # fmt: skip
MHZ_UNKNOWN = 1000
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def fingerprint(config: AgentConfig, identity: Identity, drivers: Iterable[Driver], alloc_dir: Path) -> Node:
    """The node as it registers."""
    client = config.client
    cores, frequency = os.cpu_count() or 1, _frequency()
    compute = client.cpu_total_compute or cores * frequency
    memory = client.memory_total_mb or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    disk = shutil.disk_usage(alloc_dir)
    address, device = _address(config)
    known = {driver.name: driver.fingerprint() for driver in drivers}
    attributes = {
        **_system(),
        **{f"driver.{name}": "1" for name, info in known.items() if info.detected and info.healthy},
        "cpu.numcores": str(cores),
        "cpu.reservablecores": str(cores),
        "cpu.frequency": str(frequency),
        "cpu.totalcompute": str(compute),
        "cpu.usablecompute": str(compute - client.reserved.cpu),
        "memory.totalbytes": str(memory << 20),
        "numa.node.count": "1",
        "unique.storage.volume": str(alloc_dir),
        "unique.storage.bytestotal": str(disk.total),
        "unique.network.ip-address": address,
        **_VERSIONS,
    }
    return Node(
        id=identity.node_id,
        secret_id=identity.secret_id,
        datacenter=config.datacenter,
        name=config.node_name,
        http_addr=config.advertised("http"),
        tls_enabled=config.tls.http,
        attributes=attributes,
        node_resources=NodeResources(
            cpu=NodeCpu(cpu_shares=compute, total_cpu_cores=cores, reservable_cpu_cores=tuple(range(cores))),
            memory=NodeMemory(memory_mb=memory),
            disk=NodeDisk(disk_mb=client.disk_free_mb or disk.free >> 20),
            networks=(Network(mode="host", device=device, cidr=f"{address}/32", ip=address, mbits=1000),),
            node_networks=(_network(address, device),),
            processors=_processors(cores, frequency),
            min_dynamic_port=client.min_dynamic_port,
            max_dynamic_port=client.max_dynamic_port,
        ),
        reserved_resources=_reserved(config),
        links={},
        meta=dict(client.meta),
        node_class=client.node_class,
        node_pool=client.node_pool or "default",
        scheduling_eligibility="ineligible" if client.default_ineligible else "eligible",
        status=INITIALIZING,
        drivers=known,
        csi_controller_plugins={},
        csi_node_plugins={},
        host_volumes=_host_volumes(config),
        host_networks={},
        cgroup_parent=client.cgroup_parent or "nomad.slice",
        node_max_allocs=client.node_max_allocs,
        gc_volumes_on_node_gc=client.gc_volumes_on_node_gc,
    )


def _host_volumes(config: AgentConfig) -> dict[str, HostVolume]:
    return {
        name: HostVolume(name=name, path=str(one.get("path", "")), read_only=bool(one.get("read_only")))
        for name, one in config.client.host_volume.items()
    }


def _system() -> dict[str, str]:
    machine = platform.machine()
    release = _os_release()
    signals = sorted(one.name for one in signal.Signals if not one.name.startswith("SIGRT"))
    found = {
        "kernel.name": platform.system().lower(),
        "kernel.version": platform.release(),
        "kernel.arch": machine,
        "cpu.arch": _ARCHITECTURES.get(machine, machine),
        "cpu.modelname": _cpu_info("model name") or machine,
        "os.name": release.get("ID", "linux"),
        "os.version": release.get("VERSION_ID", ""),
        "os.cgroups.version": "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1",
        "os.signals": ",".join([*signals, "SIGNULL"]),
        "unique.hostname": socket.gethostname(),
    }
    return {name: value for name, value in found.items() if value}


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _cpu_info(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _frequency() -> int:
    """MHz of a core: the highest that it can do, else what it does now."""
    try:
        return int(Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").read_text()) // 1000
    except (OSError, ValueError):
        pass
    try:
        return int(float(_cpu_info("cpu MHz")))
    except ValueError:
        return MHZ_UNKNOWN


def _address(config: AgentConfig) -> tuple[str, str]:
    """The address that tasks' ports are on, and its interface: loopback for a development agent."""
    if config.dev or config.client.network_interface == "lo":
        return "127.0.0.1", "lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it asks the routing table
            address = str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1", "lo"
    return address, config.client.network_interface or "default"


def _network(address: str, device: str) -> NodeNetwork:
    one = NodeAddress(family="ipv4", alias="default", address=address)
    return NodeNetwork(mode="host", device=device, speed=1000, addresses=(one,))


def _processors(cores: int, frequency: int) -> dict[str, Any]:
    topology = {
        "Nodes": [0],
        "Distances": None,
        "Cores": [
            {
                "SocketID": 0, "NodeID": 0, "ID": core, "Grade": True, "Disable": False, "BaseSpeed": frequency,
                "MaxSpeed": 0, "GuessSpeed": 0,
            }
            for core in range(cores)
        ],
        "OverrideTotalCompute": 0,
        "OverrideWitholdCompute": 0,
    }  # fmt: skip
    return {"Topology": topology}


def _reserved(config: AgentConfig) -> ReservedResources:
    reserved = config.client.reserved
    return ReservedResources(
        cpu=ReservedCpu(cpu_shares=reserved.cpu),
        memory=NodeMemory(memory_mb=reserved.memory),
        disk=NodeDisk(disk_mb=reserved.disk),
        networks=ReservedNetworks(reserved_host_ports=reserved.reserved_ports),
    )
