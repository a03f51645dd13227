"""The parts of a job that mesh services imply: proxy tasks, their ports and exposed paths (spec job-model §5.5.3).

All of it is part of the stored job, so a job registered as it was read stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.gateway import Gateway
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.network import Network, Port
from yurt.fsm.structs.policies import RestartPolicy
from yurt.fsm.structs.resources import LogConfig, Resources
from yurt.fsm.structs.service import Check, Expose, ExposePath, Proxy, Service, SidecarTask
from yurt.fsm.structs.task import Lifecycle, Task

SECOND = 1_000_000_000
CONSUL = Constraint(ltarget="${attr.consul.version}", operand="semver", rtarget=">= 1.8.0")
CONSUL_GRPC = Constraint(ltarget="${attr.consul.grpc}", operand=">", rtarget="0")
_ARGUMENTS = (
    "-c", "${NOMAD_SECRETS_DIR}/envoy_bootstrap.json", "-l", "${meta.connect.log_level}",
    "--concurrency", "${meta.connect.proxy_concurrency}", "--disable-hot-restart",
)  # fmt: skip
_MAPPED_TO_ITSELF = -1  # a port of the allocation that has the number it has on the node


def add_proxies(group: TaskGroup) -> TaskGroup:
    """The group with a proxy's task for each sidecar and gateway, and a port for each sidecar.

    Ports are added to a bridge network alone; what is there already stays as it is.
    """
    services = [service for service in group.services or () if service.connect is not None]
    if not services:
        return group
    tasks = list(group.tasks or ())
    kinds = {task.kind for task in tasks}
    ports = []
    for service in services:
        kind = _kind(service)
        name = f"{kind}-{service.name}"
        if not kind:
            continue
        if kind == "connect-proxy":
            if not _bridged(group):
                continue
            ports.append(name)
        if f"{kind}:{service.name}" not in kinds:
            tasks.append(_proxy_task(service, kind, name, group.restart_policy))
    changes: dict[str, Any] = {}
    if len(tasks) != len(group.tasks or ()):
        changes["tasks"] = tuple(tasks)
    return _with_ports(_changed(group, changes), ports)


def add_expose_paths(group: TaskGroup) -> TaskGroup:
    """The group with a path through the sidecar for each check that asks for it; raises Refusal(500)."""
    if not any(check.expose for service in group.services or () for check in service.checks or ()):
        return group
    services, ports = [], []
    for service in group.services or ():
        if service.connect is None or service.connect.sidecar_service is None or not _bridged(group):
            services.append(service)
            continue
        changed, more = _exposed(service, group)
        services.append(changed)
        ports.extend(more)
    return _with_ports(_changed(group, {"services": tuple(services)}), ports)


def _kind(service: Service) -> str:
    """The kind of proxy that the service needs, empty for none."""
    connect = service.connect
    if connect is None:
        return ""
    if connect.sidecar_service is not None:
        return "connect-proxy"
    return _gateway_kind(connect.gateway) if connect.gateway is not None else ""


def _gateway_kind(gateway: Gateway) -> str:
    kinds = (("ingress", gateway.ingress), ("terminating", gateway.terminating), ("mesh", gateway.mesh))
    return next((f"connect-{name}" for name, block in kinds if block is not None), "")


def _bridged(group: TaskGroup) -> bool:
    return any(network.mode == "bridge" for network in group.networks or ())


def _proxy_task(service: Service, kind: str, name: str, restart: RestartPolicy | None) -> Task:
    """The proxy's task, with what the user says of it on top."""
    image = "sidecar_image" if kind == "connect-proxy" else "gateway_image"
    task = Task(
        name=name,
        driver="docker",
        kind=f"{kind}:{service.name}",
        config={"image": f"${{meta.connect.{image}}}", "args": list(_ARGUMENTS), "auth_soft_fail": True},
        lifecycle=Lifecycle(hook="prestart", sidecar=True) if kind == "connect-proxy" else None,
        shutdown_delay=5 * SECOND,
        log_config=LogConfig(max_files=2, max_file_size_mb=2),
        resources=Resources(cpu=250, memory_mb=128),
        restart_policy=restart,
        constraints=(CONSUL, CONSUL_GRPC),
    )
    own = service.connect.sidecar_task if service.connect is not None else None
    changed: Task = replace(task, **_overlay(own, task)) if own is not None else task
    return changed


def _overlay(own: SidecarTask, task: Task) -> dict[str, Any]:
    """Return the user's changes to the proxy's task; maps are merged, but another driver replaces `config`."""
    changes: dict[str, Any] = {}
    for name in ("name", "user", "kill_signal", "resources", "kill_timeout", "shutdown_delay", "log_config"):
        value = getattr(own, name)
        if value is not None and value != "":
            changes[name] = value
    if own.volume_mounts:
        changes["volume_mounts"] = own.volume_mounts
    for name in ("env", "meta"):
        if value := getattr(own, name):
            changes[name] = {**(getattr(task, name) or {}), **value}
    if own.driver and own.driver != task.driver:
        changes["driver"] = own.driver
        changes["config"] = own.config
    elif own.config:
        changes["config"] = {**(task.config or {}), **own.config}
    return changes


def _exposed(service: Service, group: TaskGroup) -> tuple[Service, list[str]]:
    """The service with a path for each exposed check, and the labels of the ports that these listen on."""
    connect = service.connect
    assert connect is not None and connect.sidecar_service is not None
    proxy = connect.sidecar_service.proxy or Proxy()
    paths = dict.fromkeys((proxy.expose.paths or ()) if proxy.expose is not None else ())
    checks, ports = [], []
    for check in service.checks or ():
        if check.expose and check.type in ("http", "grpc"):
            label = check.port_label or _port_label(service, check)
            if not check.port_label:
                ports.append(label)
            path = ExposePath(
                path=check.path if check.type == "http" else f"/{check.grpc_service}",
                protocol=check.protocol or ("http2" if check.type == "grpc" else ""),
                local_path_port=_local_port(service, check, group),
                listener_port=label,
            )
            paths[path] = None
            check = replace(check, port_label=label)
        checks.append(check)
    proxy = replace(proxy, expose=Expose(paths=tuple(paths) or None)) if paths else proxy
    sidecar = replace(connect.sidecar_service, proxy=proxy) if paths else connect.sidecar_service
    changed: Service = replace(service, checks=tuple(checks) or None, connect=replace(connect, sidecar_service=sidecar))
    return changed, ports


def _port_label(service: Service, check: Check) -> str:
    """The label of the port that a check's path listens on: the same whenever the job is registered."""
    mark = hashlib.sha256(f"{check.name}\0{check.type}\0{check.path}".encode()).hexdigest()[:6]
    return f"svc_{service.name}_ck_{mark}"


def _local_port(service: Service, check: Check, group: TaskGroup) -> int:
    """The port in the allocation that the service listens on; raises Refusal(500) if nothing tells it."""
    label = service.port_label
    if label.isdecimal() and len(label) <= 5:
        return int(label)
    for network in group.networks or ():
        for port in (*(network.dynamic_ports or ()), *(network.reserved_ports or ())):
            if port.label == label and (port.to > 0 or port.value > 0):
                return port.to if port.to > 0 else port.value
    name = f"{group.name}->{service.name}->{check.name}"
    text = f"unable to determine local service port for service check {name}"
    raise Refusal(500, f"error in job mutator expose-check: {text}")


def _with_ports(group: TaskGroup, labels: Iterable[str]) -> TaskGroup:
    """The group with a dynamic port for each label on its bridge network."""
    networks = list(group.networks or ())
    place = next((at for at, network in enumerate(networks) if network.mode == "bridge"), None)
    if place is None:
        return group
    network: Network = networks[place]
    there = {port.label for port in network.dynamic_ports or ()}
    added = [Port(label=label, to=_MAPPED_TO_ITSELF, host_network="default") for label in labels if label not in there]
    if not added:
        return group
    networks[place] = replace(network, dynamic_ports=(*(network.dynamic_ports or ()), *added))
    return _changed(group, {"networks": tuple(networks)})


def _changed(group: TaskGroup, changes: dict[str, Any]) -> TaskGroup:
    changed: TaskGroup = replace(group, **changes) if changes else group
    return changed
