"""The usage of tasks and of the machine, in the form of the API (spec node-agent §16)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from yurt.fsm.structs.base import Record
from yurt.server.client.alloc_runner import AllocRunner
from yurt.server.client.drivers.base import Usage

_CPU_MEASURED = ("Percent", "System Mode", "User Mode")
_MEMORY_MEASURED = ("RSS", "Usage")
_SAMPLES_MAX = 4096
_before: dict[str, tuple[float, float, float]] = {}  # task → clock, user and system seconds at the last look


class CpuStats(Record, frozen=True, kw_only=True):
    """Processor time in percent of one processor."""

    measured: tuple[str, ...] = _CPU_MEASURED
    percent: float
    system_mode: float
    throttled_periods: int = 0
    throttled_time: int = 0
    total_ticks: float
    user_mode: float


class MemoryStats(Record, frozen=True, kw_only=True):
    """Memory in bytes."""

    cache: int = 0
    kernel_max_usage: int = 0
    kernel_usage: int = 0
    mapped_file: int = 0
    max_usage: int = 0
    measured: tuple[str, ...] = _MEMORY_MEASURED
    rss: int = msgspec.field(name="RSS")
    swap: int = 0
    usage: int


class ResourceUsage(Record, frozen=True, kw_only=True):
    """The resources that processes use."""

    cpu_stats: CpuStats = msgspec.field(name="CpuStats")
    device_stats: tuple[str, ...] = ()
    memory_stats: MemoryStats


class TaskUsage(Record, frozen=True, kw_only=True):
    """The usage of a task; `timestamp` in nanoseconds since 1970."""

    pids: None = None
    resource_usage: ResourceUsage
    timestamp: int


class AllocationUsage(Record, frozen=True):
    """The usage of an allocation, and of each of its running tasks."""

    resource_usage: ResourceUsage
    tasks: dict[str, TaskUsage]
    timestamp: int


class DiskUsage(Record, frozen=True):
    """A file system, in bytes."""

    available: int
    device: str
    inodes_used_percent: float
    mountpoint: str
    size: int
    used: int
    used_percent: float


class ProcessorUsage(Record, frozen=True, kw_only=True):
    """Shares of a processor's time, in percent."""

    cpu: str
    idle: float
    system: float
    total: float
    total_percent: float
    total_ticks: float = 0.0
    user: float


class MemoryUsage(Record, frozen=True):
    """The machine's memory, in bytes."""

    available: int
    free: int
    total: int
    used: int


class HostUsage(Record, frozen=True, kw_only=True):
    """The usage of the machine; `uptime` in seconds."""

    alloc_dir_stats: DiskUsage
    cpu: tuple[ProcessorUsage, ...]
    cpu_ticks_consumed: float = msgspec.field(default=0.0, name="CPUTicksConsumed")
    device_stats: tuple[str, ...] = ()
    disk_stats: tuple[DiskUsage, ...]
    memory: MemoryUsage
    timestamp: int
    uptime: int


def _percent(key: str, usage: Usage) -> tuple[float, float]:
    """Shares of a processor, in percent, since the last look at the same task."""
    now = time.monotonic()
    then, user, system = _before.get(key, (now, usage.user_seconds, usage.system_seconds))
    if len(_before) > _SAMPLES_MAX:
        _before.clear()
    _before[key] = (now, usage.user_seconds, usage.system_seconds)
    passed = now - then
    if passed <= 0:
        return 0.0, 0.0
    return 100 * (usage.user_seconds - user) / passed, 100 * (usage.system_seconds - system) / passed


def _resources(user: float, system: float, resident: int, mhz: float) -> ResourceUsage:
    ticks = (user + system) / 100 * mhz
    return ResourceUsage(
        cpu_stats=CpuStats(percent=user + system, system_mode=system, total_ticks=ticks, user_mode=user),
        memory_stats=MemoryStats(rss=resident, usage=resident),
    )


def allocation_usage(runner: AllocRunner, task: str = "") -> AllocationUsage:
    """Return the usage of the allocation and of its running tasks; of one task alone if `task` names it."""
    tasks: dict[str, TaskUsage] = {}
    now, sums = time.time_ns(), [0.0, 0.0, 0]
    for name, one in runner.runners.items():
        usage = one.usage()
        if usage is None or task not in ("", name):
            continue
        user, system = _percent(f"{runner.allocation.id}/{name}", usage)
        sums = [sums[0] + user, sums[1] + system, sums[2] + usage.resident_bytes]
        shown = _resources(user, system, usage.resident_bytes, runner.mhz)
        tasks[name] = TaskUsage(resource_usage=shown, timestamp=now)
    whole = _resources(sums[0], sums[1], int(sums[2]), runner.mhz)
    return AllocationUsage(resource_usage=whole, tasks=tasks, timestamp=now)


def host_usage(alloc_dir: Path) -> HostUsage:
    """The machine's processors, memory and the volume of the allocations."""
    disk = os.statvfs(alloc_dir)
    size, available = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    used = size - disk.f_bfree * disk.f_frsize
    shown = DiskUsage(
        available=available,
        device=str(alloc_dir),
        inodes_used_percent=100 * (1 - disk.f_ffree / disk.f_files) if disk.f_files else 0.0,
        mountpoint=str(alloc_dir),
        size=size,
        used=used,
        used_percent=100 * used / size if size else 0.0,
    )
    return HostUsage(
        alloc_dir_stats=shown,
        cpu=tuple(_processors()),
        disk_stats=(shown,),
        memory=_memory(),
        timestamp=time.time_ns(),
        uptime=int(float(_first_line("/proc/uptime").split()[0] or 0)),
    )


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().split("\n", 1)[0]
    except OSError:
        return "0"


def _memory() -> MemoryUsage:
    found: dict[str, int] = {}
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            found[name] = int(value.split()[0]) << 10
    except (OSError, ValueError, IndexError):
        pass
    total, available = found.get("MemTotal", 0), found.get("MemAvailable", 0)
    return MemoryUsage(available=available, free=found.get("MemFree", 0), total=total, used=total - available)


def _processors() -> list[ProcessorUsage]:
    """Shares of time since the last look, in percent; since the machine's start at the first."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return []
    shown = []
    for line in lines:
        name, *fields = line.split()
        if not name.startswith("cpu") or name == "cpu":
            continue
        user, nice, system, idle, *rest = (float(one) for one in fields)
        total = user + nice + system + idle + sum(rest)
        known = (idle, user + nice, system, total)
        before = _looked.get(name, (0.0, 0.0, 0.0, 0.0))
        _looked[name] = known
        idle, user, system, total = (one - other for one, other in zip(known, before, strict=True))
        part = 100 / total if total else 0.0
        shown.append(
            ProcessorUsage(
                cpu=name,
                idle=idle * part,
                system=system * part,
                total=100 - idle * part,
                total_percent=100 - idle * part,
                user=user * part,
            )
        )
    return shown


_looked: dict[str, tuple[float, ...]] = {}
