"""What tasks and the machine use, in the form of the API (spec node-agent §16)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from yurt.server.client.alloc_runner import AllocRunner
from yurt.server.client.drivers.base import Usage

_CPU_MEASURED = ["Percent", "System Mode", "User Mode"]
_MEMORY_MEASURED = ["RSS", "Usage"]
_SAMPLES_MAX = 4096
_before: dict[str, tuple[float, float, float]] = {}  # task → clock, user and system seconds at the last look


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


def _resources(user: float, system: float, resident: int, mhz: float) -> dict[str, Any]:
    return {
        "CpuStats": {
            "Measured": _CPU_MEASURED,
            "Percent": user + system,
            "SystemMode": system,
            "ThrottledPeriods": 0,
            "ThrottledTime": 0,
            "TotalTicks": (user + system) / 100 * mhz,
            "UserMode": user,
        },
        "DeviceStats": [],
        "MemoryStats": {
            "Cache": 0,
            "KernelMaxUsage": 0,
            "KernelUsage": 0,
            "MappedFile": 0,
            "MaxUsage": 0,
            "Measured": _MEMORY_MEASURED,
            "RSS": resident,
            "Swap": 0,
            "Usage": resident,
        },
    }


def allocation_usage(runner: AllocRunner, task: str = "") -> dict[str, Any]:
    """ResourceUsage of the allocation and of its running tasks; `task` names one of them."""
    tasks: dict[str, Any] = {}
    now, sums = time.time_ns(), [0.0, 0.0, 0]
    for name, one in runner.runners.items():
        usage = one.usage()
        if usage is None or task not in ("", name):
            continue
        user, system = _percent(f"{runner.allocation.id}/{name}", usage)
        sums = [sums[0] + user, sums[1] + system, sums[2] + usage.resident_bytes]
        shown = _resources(user, system, usage.resident_bytes, runner.mhz)
        tasks[name] = {"Pids": None, "ResourceUsage": shown, "Timestamp": now}
    whole = _resources(sums[0], sums[1], int(sums[2]), runner.mhz)
    return {"ResourceUsage": whole, "Tasks": tasks, "Timestamp": now}


def host_usage(alloc_dir: Path) -> dict[str, Any]:
    """The machine's processors, memory and the volume of the allocations."""
    disk = os.statvfs(alloc_dir)
    size, available = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    used = size - disk.f_bfree * disk.f_frsize
    shown = {
        "Available": available,
        "Device": str(alloc_dir),
        "InodesUsedPercent": 100 * (1 - disk.f_ffree / disk.f_files) if disk.f_files else 0.0,
        "Mountpoint": str(alloc_dir),
        "Size": size,
        "Used": used,
        "UsedPercent": 100 * used / size if size else 0.0,
    }
    return {
        "AllocDirStats": shown,
        "CPU": _processors(),
        "CPUTicksConsumed": 0.0,
        "DeviceStats": [],
        "DiskStats": [shown],
        "Memory": _memory(),
        "Timestamp": time.time_ns(),
        "Uptime": int(float(_first_line("/proc/uptime").split()[0] or 0)),
    }


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().split("\n", 1)[0]
    except OSError:
        return "0"


def _memory() -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            found[name] = int(value.split()[0]) << 10
    except (OSError, ValueError, IndexError):
        pass
    total, available = found.get("MemTotal", 0), found.get("MemAvailable", 0)
    return {"Available": available, "Free": found.get("MemFree", 0), "Total": total, "Used": total - available}


def _processors() -> list[dict[str, Any]]:
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
            {
                "CPU": name, "Idle": idle * part, "System": system * part, "Total": 100 - idle * part,
                "TotalPercent": 100 - idle * part, "TotalTicks": 0.0, "User": user * part,
            }
        )  # fmt: skip
    return shown


_looked: dict[str, tuple[float, ...]] = {}
