"""When the directories of allocations that have ended are removed (spec node-agent §18)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Limits:
    """More allocations, or more of the volume in use (percent), and the oldest that have ended go."""

    interval_seconds: float = 60.0
    parallel: int = 2
    allocations: int = 50
    disk_percent: float = 80.0
    inode_percent: float = 70.0


class Ended(Protocol):
    """The part of an allocation's runner that collection looks at."""

    ended_at: float


E = TypeVar("E", bound=Ended)


def usage_of(directory: Path) -> tuple[float, float]:
    """Bytes and inodes of the directory's volume that are in use, in percent."""
    found = os.statvfs(directory)
    used = found.f_blocks - found.f_bfree
    usable = used + found.f_bavail
    inodes = 100 * (1 - found.f_ffree / found.f_files) if found.f_files else 0.0
    return (100 * used / usable if usable else 0.0), inodes


def to_collect(limits: Limits, known: int, ended: list[E], usage: tuple[float, float]) -> list[E]:
    """Return the allocations to remove now, oldest first: the surplus, or a few while the volume is too full."""
    oldest = sorted(ended, key=lambda one: one.ended_at)
    full = usage[0] > limits.disk_percent or usage[1] > limits.inode_percent
    return oldest[: max(known - limits.allocations, limits.parallel if full else 0, 0)]
