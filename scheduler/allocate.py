"""The resources an allocation gets on its node: shares, cores, devices, ports (spec scheduling §11.6, §11.7)."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.fsm.structs.allocation import (
    AllocatedCpu,
    AllocatedDevice,
    AllocatedMemory,
    AllocatedResources,
    AllocatedShared,
    AllocatedTask,
)
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.task import Task
from yurt.scheduler.devices import instances
from yurt.scheduler.network import Offer, assign
from yurt.scheduler.sizes import cpu_per_core, task_cpu, task_memory
from yurt.scheduler.working import Holdings


@dataclass(frozen=True, slots=True)
class Request:
    """A group's resource request; `plain` if every node gives the same (no ports, cores or devices)."""

    group: TaskGroup
    oversubscription: bool

    @property
    def network(self) -> Network | None:
        """The group's network; only the first one counts."""
        return self.group.networks[0] if self.group.networks else None

    @property
    def plain(self) -> bool:
        """Whether nothing has to be chosen one by one."""
        return self.network is None and not any(
            task.resources is not None and (task.resources.cores or task.resources.devices)
            for task in self.group.tasks or ()
        )

    @property
    def has_cores(self) -> bool:
        """Whether a task wants whole cores, so that its MHz depend on the node."""
        return any(task.resources is not None and task.resources.cores for task in self.group.tasks or ())


def allocate(request: Request, node: Node | None, held: Holdings | None, luck: int) -> AllocatedResources | str:
    """Return the group's resources on a node, or the exhausted dimension. A plain request needs no node."""
    tasks: dict[str, AllocatedTask] = {}
    cores_used = set(held.cores) if held else set()
    devices_used = set(held.devices) if held else set()
    for task in request.group.tasks or ():
        given = _task(task, request, node, cores_used, devices_used)
        if isinstance(given, str):
            return given
        tasks[task.name] = given
    shared = AllocatedShared(disk_mb=request.group.ephemeral_disk.size_mb if request.group.ephemeral_disk else 0)
    if request.network is not None and node is not None and held is not None:
        offer = assign(node, request.network, held.ports, luck)
        if not isinstance(offer, Offer):
            return f"network: {offer}"
        ports = offer.ports or None
        shared = AllocatedShared(disk_mb=shared.disk_mb, networks=(offer.network,), ports=ports)
    lifecycles = {task.name: task.lifecycle for task in request.group.tasks or ()}
    return AllocatedResources(tasks=tasks, task_lifecycles=lifecycles, shared=shared)


def _task(
    task: Task, request: Request, node: Node | None, cores_used: set[int], devices_used: set[str]
) -> AllocatedTask | str:
    resources = task.resources
    cores: tuple[int, ...] | None = None
    devices: list[AllocatedDevice] = []
    per_core = cpu_per_core(node) if node is not None else 0
    if node is not None and resources is not None and resources.cores:
        has = (node.node_resources.cpu.reservable_cpu_cores or ()) if node.node_resources else ()
        free = [core for core in has if core not in cores_used]
        if len(free) < resources.cores:
            return "cores"
        cores = tuple(free[: resources.cores])
        cores_used.update(cores)
    for wanted in (resources.devices or ()) if node is not None and resources is not None else ():
        found = instances(node, wanted, devices_used) if node is not None else "devices: no devices match request"
        if isinstance(found, str):
            return found
        device, ids = found
        devices_used.update(ids)
        devices.append(AllocatedDevice(vendor=device.vendor, type=device.type, name=device.name, device_ids=ids))
    memory_max = resources.memory_max_mb if resources is not None and request.oversubscription else 0
    return AllocatedTask(
        cpu=AllocatedCpu(cpu_shares=task_cpu(task, per_core), reserved_cores=cores),
        memory=AllocatedMemory(memory_mb=task_memory(task), memory_max_mb=memory_max),
        devices=tuple(devices) or None,
    )
