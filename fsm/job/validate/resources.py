"""The validation of resources, devices and logs (spec job-model §5.4, §5.9)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.validate.constraint import DISTINCT, affinity_list_errors, constraint_errors
from yurt.fsm.structs.resources import Device, Resources
from yurt.fsm.structs.task import LogConfig

CPU_MIN = 1
MEMORY_MB_MIN = 10
NUMA_AFFINITIES = ("none", "prefer", "require")


def resources_errors(resources: Resources) -> Iterator[str]:
    """Yield the errors of a task's resources, in order."""
    if resources.cores > 0 and resources.cpu > 0:
        yield "Task can only ask for 'cpu' or 'cores' resource, not both."
    if resources.cores < 0:
        yield f"cores value ({resources.cores}) cannot be negative"
    if errors := list(_minimum_errors(resources)):
        yield multierror(errors)
    for number, device in enumerate(resources.devices or (), start=1):
        if errors := list(_device_errors(device)):
            yield f"device {number} failed validation: {multierror(errors)}"
    if resources.numa is not None:
        names = {device.name for device in resources.devices or ()}
        for name in resources.numa.devices or ():
            if name not in names:
                yield f'numa device "{name}" not requested as task resource'
        if resources.numa.affinity not in NUMA_AFFINITIES:
            yield "numa affinity must be one of none, prefer, or require"
    memory = resources.memory_mb
    if resources.memory_max_mb not in (0, -1) and resources.memory_max_mb < memory:
        yield f"MemoryMaxMB value ({resources.memory_max_mb}) should be larger than MemoryMB value ({memory})"
    if resources.secrets_mb > memory:
        yield f"SecretsMB value ({resources.secrets_mb}) cannot be larger than MemoryMB value ({memory})"
    if resources.secrets_mb < 0:
        yield f"SecretsMB value ({resources.secrets_mb}) cannot be negative"


def _minimum_errors(resources: Resources) -> Iterator[str]:
    if resources.cores == 0 and resources.cpu < CPU_MIN:
        yield f"minimum CPU value is {CPU_MIN}; got {resources.cpu}"
    if resources.memory_mb < MEMORY_MB_MIN:
        yield f"minimum MemoryMB value is {MEMORY_MB_MIN}; got {resources.memory_mb}"


def _device_errors(device: Device) -> Iterator[str]:
    if not device.name:
        yield "device name must be given as one of the following: type, vendor/type, or vendor/type/name"
    for number, constraint in enumerate(device.constraints or (), start=1):
        if constraint.operand in DISTINCT:
            yield f'Constraint {number} validation failed: using unsupported operand "{constraint.operand}"'
        elif errors := constraint_errors(constraint):
            yield f"Constraint {number} validation failed: {multierror(errors)}"
    yield from affinity_list_errors(device.affinities, "")


def log_errors(logs: LogConfig, disk_mb: int) -> Iterator[str]:
    """Yield the errors of a task's log limits on a disk of `disk_mb`."""
    if logs.max_files < 1:
        yield f"minimum number of files is 1; got {logs.max_files}"
    if logs.max_file_size_mb < 1:
        yield f"minimum file size is 1MB; got {logs.max_file_size_mb}"
    kept_mb = logs.max_files * logs.max_file_size_mb
    if kept_mb >= disk_mb:
        yield f"log storage ({kept_mb} MB) must be less than requested disk capacity ({disk_mb} MB)"
