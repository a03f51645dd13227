"""The registrations of an allocation's services (spec node-agent §13). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.fsm.structs.service import Service
from yurt.server.client.environment import Environment

PROVIDER = "nomad"


def address_of(allocation: Allocation, label: str, custom: str = "") -> tuple[str, int]:
    """Address and port of a label: an allocated port, or a number, which has no address of its own."""
    whole = allocation.allocated_resources
    for port in (whole.shared.ports or ()) if whole is not None else ():
        if port.label == label:
            return custom or port.host_ip, port.value
    for task in (whole.tasks or {}).values() if whole is not None else ():
        for network in task.networks or ():
            for one in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
                if one.label == label:
                    return custom or network.ip, one.value
    return custom, int(label) if label.isdecimal() else 0


def own_services(services: tuple[Service, ...] | None) -> list[Service]:
    """Return the services that Yurt's own servers keep."""
    return [one for one in services or () if one.provider == PROVIDER]


def registrations(
    allocation: Allocation, services: tuple[Service, ...] | None, owner: str, env: Environment, datacenter: str
) -> dict[str, ServiceRegistration]:
    """The registrations by ID; `owner` is a task's name, or `group-GROUP`."""
    found: dict[str, ServiceRegistration] = {}
    status = allocation.deployment_status
    is_canary = status is not None and status.canary
    for service in own_services(services):
        name, label = env.text(service.name), env.text(service.port_label)
        tags = service.canary_tags if is_canary and service.canary_tags else service.tags
        address, port = address_of(allocation, label, env.text(service.address))
        made = ServiceRegistration(
            id=f"_nomad-task-{allocation.id}-{owner}-{name}-{label}",
            service_name=name,
            namespace=allocation.namespace,
            node_id=allocation.node_id,
            datacenter=datacenter,
            job_id=allocation.job_id,
            alloc_id=allocation.id,
            tags=tuple(env.text(one) for one in tags or ()),
            address=address,
            port=port,
        )
        found[made.id] = made
    return found


def of_group(env: Environment) -> Environment:
    """A group's services know nothing of tasks: names of theirs stay as they are."""
    hidden = ("NOMAD_TASK_NAME", "NOMAD_TASK_DIR", "NOMAD_SECRETS_DIR", "NOMAD_CPU_LIMIT", "NOMAD_MEMORY_LIMIT")
    kept: Mapping[str, str] = {name: value for name, value in env.variables.items() if name not in hidden}
    return Environment(dict(kept), env.names)
