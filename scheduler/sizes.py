"""How much of a node an allocation takes: (CPU in MHz, memory in MB, disk in MB) (spec scheduling §11.7)."""

from __future__ import annotations

from collections.abc import Iterable

from yurt.fsm.structs.allocation import AllocatedResources
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.task import Lifecycle, Task

Size = tuple[int, int, int]
DIMENSIONS = ("cpu", "memory", "disk")


def size_of(resources: AllocatedResources | None) -> Size:
    """Return the size of an allocation that is on a node."""
    if resources is None:
        return (0, 0, 0)
    tasks, lifecycles = resources.tasks or {}, resources.task_lifecycles or {}
    if len(tasks) == 1:
        (task,) = tasks.values()
        return (task.cpu.cpu_shares, task.memory.memory_mb, resources.shared.disk_mb)
    parts = [(lifecycles.get(name), task.cpu.cpu_shares, task.memory.memory_mb) for name, task in tasks.items()]
    return (*_at_once(parts), resources.shared.disk_mb)


def size_wanted(group: TaskGroup, cpu_per_core: int) -> Size:
    """Return the size of an allocation of a group on a node with cores of `cpu_per_core` MHz each."""
    parts = [(task.lifecycle, task_cpu(task, cpu_per_core), task_memory(task)) for task in group.tasks or ()]
    return (*_at_once(parts), group.ephemeral_disk.size_mb if group.ephemeral_disk else 0)


def task_cpu(task: Task, cpu_per_core: int) -> int:
    """MHz of a task: its own, or those of its reserved cores."""
    if task.resources is None:
        return 0
    return task.resources.cores * cpu_per_core if task.resources.cores else task.resources.cpu


def task_memory(task: Task) -> int:
    """Memory of a task and its secrets in MB."""
    return task.resources.memory_mb + task.resources.secrets_mb if task.resources else 0


def _at_once(parts: Iterable[tuple[Lifecycle | None, int, int]]) -> tuple[int, int]:
    """The most that tasks need at one time: before, beside, or after the main tasks; sidecars run beside them."""
    phases = {"prestart": [0, 0], "main": [0, 0], "poststop": [0, 0]}
    for lifecycle, cpu, memory in parts:
        hook = lifecycle.hook if lifecycle is not None and not lifecycle.sidecar else "main"
        phase = phases.get(hook, phases["main"])
        phase[0] += cpu
        phase[1] += memory
    return max(phase[0] for phase in phases.values()), max(phase[1] for phase in phases.values())


def capacity(node: Node) -> Size:
    """Return a node's capacity for allocations."""
    has, kept = node.node_resources, node.reserved_resources
    if has is None:
        return (0, 0, 0)
    size = (has.cpu.cpu_shares, has.memory.memory_mb, has.disk.disk_mb)
    if kept is None:
        return size
    less = (kept.cpu.cpu_shares, kept.memory.memory_mb, kept.disk.disk_mb)
    return (size[0] - less[0], size[1] - less[1], size[2] - less[2])


def cpu_per_core(node: Node) -> int:
    """MHz of one core, 0 if the node does not say how many it has."""
    cpu = node.node_resources.cpu if node.node_resources else None
    cores = (cpu.total_cpu_cores or len(cpu.reservable_cpu_cores or ())) if cpu else 0
    return cpu.cpu_shares // cores if cpu and cores else 0
