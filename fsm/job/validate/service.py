"""The validation of the services of groups and tasks (spec job-model §5.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.validate.check import NEED_PORT, UPDATES, check_error
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.service import Service
from yurt.fsm.structs.task import Task

PROVIDERS = ("consul", "nomad")
KINDS = ("", "api-gateway", "connect-proxy", "ingress-gateway", "mesh-gateway", "terminating-gateway")
PORT_MAX = 65535
_ALLOC_MODES = ("alloc", "alloc_ipv6")
_FIXED_MODES = ("host", "driver", *_ALLOC_MODES)
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def service_errors(service: Service) -> Iterator[str]:
    """Yield the errors of one service of a group or a task, in order."""
    if not _NAME.fullmatch(_VARIABLE.sub("ENV-VAR", service.name)):
        yield (
            "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes "
            f'and must be no longer than 63 characters: "{service.name}"'
        )
    if service.address_mode not in ("", "auto", *_FIXED_MODES):
        yield f'Service address_mode must be "auto", "host", or "driver"; not "{service.address_mode}"'
    elif service.address and service.address_mode in _FIXED_MODES:
        yield 'Service address_mode must be "auto" if address is set'
    if service.on_update not in UPDATES:
        words = '"require_healthy", "ignore_warnings", or "ignore"'
        yield f'Service on_update must be {words}; not "{service.on_update}"'
    if service.provider not in PROVIDERS:
        yield f'Service provider must be "consul", or "nomad"; not "{service.provider}"'
    else:
        for check in service.checks or ():
            if error := check_error(check, service):
                yield error
        if service.provider == "consul":
            if service.kind not in KINDS:
                yield f"Service {service.name} kind must be one of consul service kind or empty"
        elif service.connect is not None:
            yield "Service with provider nomad cannot include Connect blocks"
    if service.identity is not None and not service.identity.audience:
        yield "Service identity must provide at least one target aud value"


def group_service_errors(group: TaskGroup) -> Iterator[str]:
    """Yield the errors of the group's services, and of those of its tasks seen together."""
    tasks = group.tasks or ()
    for task in tasks:
        yield from _mismatches(task)
    names = {task.name for task in tasks}
    for number, service in enumerate(group.services or ()):
        if errors := list(service_errors(service)):
            yield f"Service[{number}] {service.name} validation failed: {multierror(errors)}"
            continue
        if service.address_mode == "driver":
            yield (
                f'service "{service.name}" cannot use address_mode="driver", '
                'only services defined in a "task" block can use this mode'
            )
        for check in service.checks or ():
            if check.task_name and check.task_name not in names:
                yield f"Check {check.name} invalid: refers to non-existent task {check.task_name}"
    seen: set[str] = set()
    twice: set[str] = set()
    providers: set[str] = set()
    for owner, services in (("group", group.services), *((task.name, task.services) for task in tasks)):
        for service in services or ():
            providers.add(service.provider)
            key = f"{owner}->{service.name}" + (f":{service.port_label}" if service.port_label else "")
            (twice if key in seen else seen).add(key)
    if twice:
        yield f"Services are not unique: [{' '.join(sorted(twice))}]"
    if len(providers) > 1:
        yield "Multiple service providers used: task group services must use the same provider"


def _mismatches(task: Task) -> Iterator[str]:
    """Services and checks of a task that name another task."""
    for service in task.services or ():
        if service.task_name not in ("", task.name):
            yield (
                f"Service {service.name} is invalid: may only specify task the service belongs to, "
                f'got "{service.task_name}"'
            )
        for check in service.checks or ():
            if check.task_name not in ("", task.name):
                yield (
                    f"Check {check.name} is invalid: may only specify task the check belongs to, "
                    f'got "{check.task_name}"'
                )


def group_check_errors(group: TaskGroup) -> Iterator[str]:
    """Script checks of group services must say in which task they run."""
    for service in group.services or ():
        for check in service.checks or ():
            if check.type == "script" and not check.task_name and not service.task_name:
                yield f"Service [{group.name}]->{service.name} or Check {check.name} must specify task parameter"


def task_service_errors(task: Task, group: TaskGroup) -> Iterator[str]:
    """Yield the errors of a task's services, in their order, then those of port labels that no network has."""
    seen: set[tuple[str, str]] = set()
    used: dict[str, set[str]] = {}
    for number, service in enumerate(task.services or ()):
        name = service.name
        if errors := list(service_errors(service)):
            yield f'service[{number}] "{name}" validation failed: {multierror(errors)}'
        if service.address_mode in _ALLOC_MODES:
            yield (
                f'service "{name}" cannot use address_mode="{service.address_mode}", '
                'only services defined in a "group" block can use this mode'
            )
        if (name, service.port_label) in seen:
            yield f'service "{name}" is duplicate'
        seen.add((name, service.port_label))
        label = service.port_label
        if label and not (service.address_mode == "driver" and label.isdecimal()):
            used.setdefault(label, set()).add(name)
        if service.connect is not None:
            yield (f'service "{name}" cannot have "connect" block, only services defined in a "group" block can')
        yield from _task_check_errors(service, used)
    offered = set(_labels(group.networks))
    if task.resources is not None:
        offered.update(_labels(task.resources.networks))
    for label in sorted(used):
        if label not in offered:
            names = ", ".join(sorted(used[label]))
            yield f'port label "{label}" referenced by services {names} does not exist'


def _task_check_errors(service: Service, used: dict[str, set[str]]) -> Iterator[str]:
    """The checks of a task's service; the port labels they name are noted in `used`."""
    seen: set[str] = set()
    for check in service.checks or ():
        if check.name in seen:
            yield f'check "{check.name}" is duplicate'
        seen.add(check.name)
        if check.address_mode in _ALLOC_MODES:
            yield (
                f'check "{check.name}" cannot use address_mode="{check.address_mode}", '
                'only checks defined in a "group" service block can use this mode'
            )
        if check.type not in NEED_PORT:
            continue
        label = check.port_label
        if not label:
            if not service.port_label:
                yield f'check "{check.name}" is missing a port'
        elif not label.lstrip("-").isdecimal():
            used.setdefault(label, set()).add(service.name)
        elif check.address_mode != "driver":
            yield f'check "{check.name}" cannot use a numeric port {label} without setting address_mode="driver"'
        elif not 0 < int(label[:8]) <= PORT_MAX:
            yield f'check "{check.name}" has invalid numeric port {label}'


def _labels(networks: tuple[Network, ...] | None) -> Iterator[str]:
    for network in networks or ():
        for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
            yield port.label
