"""The implied parts of a job: proxies of the mesh, constraints and identities (spec job-model §4.1).

Constraints are appended after the user's. They are part of the stored job, so a job registered as it was read stays as
it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yurt.fsm.job.mesh import CONSUL, add_expose_paths, add_proxies
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.service import Service
from yurt.fsm.structs.task import Task

VAULT = Constraint(ltarget="${attr.vault.version}", operand="semver", rtarget=">= 0.6.1")
DISCOVERY = Constraint(ltarget="${attr.nomad.service_discovery}", operand="=", rtarget="true")
DISCOVERY_CHECKS = Constraint(ltarget="${attr.nomad.version}", operand="semver", rtarget=">= 1.4.0")
PROXY_PLUGIN = Constraint(ltarget="${attr.plugins.cni.version.consul-cni}", operand="semver", rtarget=">= 1.4.2")
PROXY = Constraint(ltarget="${attr.nomad.version}", operand="semver", rtarget=">= 1.8.0-dev")
IDENTITIES = Constraint(ltarget="${attr.nomad.version}", operand="semver", rtarget=">= 1.7.0-a")
BRIDGE_PLUGINS = ("bridge", "firewall", "host-local", "loopback", "portmap")


def mutate(job: Job) -> Job:
    """The job with what it implies; raises Refusal(500) if a check is exposed on a port that nobody knows."""
    if not job.task_groups:
        return job
    providers = sorted(
        {secret.provider for group in job.task_groups for task in group.tasks or () for secret in task.secrets or ()}
    )
    changed = tuple(_group(group, providers) for group in job.task_groups)
    if all(new is old for new, old in zip(changed, job.task_groups, strict=True)):
        return job
    mutated: Job = replace(job, task_groups=changed)
    return mutated


def _group(given: TaskGroup, providers: list[str]) -> TaskGroup:
    group = add_expose_paths(add_proxies(given)) if given.services else given
    constraints = list(group.constraints or ())
    changes: dict[str, Any] = {}
    if group.consul is not None and group.consul.partition:
        _by_target(constraints, _partition(group.consul.partition))
    for constraint, identical in _implied(group, providers):
        if identical:
            if constraint not in constraints:
                constraints.append(constraint)
        else:
            _by_target(constraints, constraint)
    tasks = tuple(_task(task) for task in group.tasks or ())
    if any(new is not old for new, old in zip(tasks, group.tasks or (), strict=True)):
        changes["tasks"] = tasks
    services = tuple(_identified(service, "") for service in group.services or ())
    if any(new is not old for new, old in zip(services, group.services or (), strict=True)):
        changes["services"] = services
    if _has_identities(group):
        constraints.append(IDENTITIES)
    if len(constraints) != len(group.constraints or ()):
        changes["constraints"] = tuple(constraints)
    if not changes:
        return group
    changed: TaskGroup = replace(group, **changes)
    return changed


def _implied(group: TaskGroup, providers: list[str]) -> Iterator[tuple[Constraint, bool]]:
    """Yield each constraint the group implies, in order, and whether only an identical one makes it redundant."""
    tasks = group.tasks or ()
    services = [*(group.services or ()), *(service for task in tasks for service in task.services or ())]
    if any(task.vault is not None and task.vault.cluster == "default" for task in tasks):
        yield VAULT, False
    for provider in providers:
        yield Constraint(ltarget=f"${{attr.plugins.secrets.{provider}.version}}", operand="is_set"), False
    if signals := _signals(group):
        yield Constraint(ltarget="${attr.os.signals}", operand="set_contains", rtarget=",".join(signals)), True
    native = [service for service in services if service.provider == "nomad"]
    if native:
        yield DISCOVERY, True
    if any(service.checks for service in native):
        yield DISCOVERY_CHECKS, True
    if any(service.provider == "consul" for service in group.services or ()):
        yield CONSUL, False
    if any(network.mode == "bridge" for network in group.networks or ()):
        for plugin in BRIDGE_PLUGINS:
            target = f"${{attr.plugins.cni.version.{plugin}}}"
            yield Constraint(ltarget=target, operand="semver", rtarget=">= 0.4.0"), False
    if any(_is_transparent(service) for service in group.services or ()):
        yield PROXY_PLUGIN, False
        yield PROXY, False


def _signals(group: TaskGroup) -> list[str]:
    """The signals that the group's tasks need, sorted."""
    found = set()
    for task in group.tasks or ():
        if task.kill_signal:
            found.add(task.kill_signal)
        if task.vault is not None and task.vault.change_mode == "signal":
            found.add(task.vault.change_signal)
        found.update(one.change_signal for one in task.templates or () if one.change_mode == "signal")
    return sorted(found)


def _task(task: Task) -> Task:
    """The constraints of Consul lie on the task for services of the task."""
    constraints = list(task.constraints or ())
    if task.consul is not None and task.consul.partition:
        _by_target(constraints, _partition(task.consul.partition))
    if any(service.provider == "consul" for service in task.services or ()):
        _by_target(constraints, CONSUL)
    services = tuple(_identified(service, task.name) for service in task.services or ())
    changes: dict[str, Any] = {}
    if any(new is not old for new, old in zip(services, task.services or (), strict=True)):
        changes["services"] = services
    if len(constraints) != len(task.constraints or ()):
        changes["constraints"] = tuple(constraints)
    if not changes:
        return task
    changed: Task = replace(task, **changes)
    return changed


def _identified(service: Service, task_name: str) -> Service:
    """A Consul service's identity is named after it."""
    if service.identity is None or service.provider != "consul":
        return service
    label = f"{task_name}-{service.name}-{service.port_label}" if task_name else f"{service.name}-{service.port_label}"
    identity = replace(service.identity, name=f"consul-service_{label}", service_name=service.name)
    if identity == service.identity:
        return service
    changed: Service = replace(service, identity=identity)
    return changed


def _has_identities(group: TaskGroup) -> bool:
    if any(service.identity is not None for service in group.services or ()):
        return True
    return any(
        task.identities or any(service.identity is not None for service in task.services or ())
        for task in group.tasks or ()
    )


def _is_transparent(service: Service) -> bool:
    sidecar = service.connect.sidecar_service if service.connect else None
    return sidecar is not None and sidecar.proxy is not None and sidecar.proxy.transparent_proxy is not None


def _partition(name: str) -> Constraint:
    return Constraint(ltarget="${attr.consul.partition}", operand="=", rtarget=name)


def _by_target(constraints: list[Constraint], constraint: Constraint) -> None:
    """Append unless one with the same target is there."""
    for one in constraints:
        if one.ltarget == constraint.ltarget:
            return
    constraints.append(constraint)
