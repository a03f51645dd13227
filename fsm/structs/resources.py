"""The resources that a task asks of its node, and the limits of its logs (spec job-model §5.4, §5.9)."""

from __future__ import annotations

from yurt.fsm.structs.base import Record
from yurt.fsm.structs.constraint import Affinity, Constraint
from yurt.fsm.structs.network import Network


class Device(Record, frozen=True):
    """A device such as a GPU."""

    name: str = ""
    count: int = 1
    constraints: tuple[Constraint, ...] | None = None
    affinities: tuple[Affinity, ...] | None = None


class NUMA(Record, frozen=True):
    """NUMA wishes; anything but `none` needs what this edition does not have."""

    affinity: str = "none"
    devices: tuple[str, ...] | None = None


class Resources(Record, frozen=True):
    """CPU in MHz or whole cores, memory and disk in MB."""

    cpu: int = 100
    cores: int = 0
    memory_mb: int = 300
    memory_max_mb: int = 0
    disk_mb: int = 0
    iops: int = 0
    secrets_mb: int = 0
    networks: tuple[Network, ...] | None = None
    devices: tuple[Device, ...] | None = None
    numa: NUMA | None = None


class LogConfig(Record, frozen=True):
    """How much of a task's output is kept."""

    max_files: int = 10
    max_file_size_mb: int = 10
    disabled: bool = False
