"""Limits of tasks by cgroups of the second version, where the machine lets us make them (spec node-agent §11)."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

log = logging.getLogger("client")

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "cpu", "pids")
PIDS_MAX = 4096
_SHARES_MAX, _WEIGHT_MAX = 262_144, 10_000


def weight_of(shares: int) -> int:
    """cpu.weight (1 to 10,000) for shares (2 to 262,144), as systemd and container runtimes count them."""
    clamped = min(max(shares, 2), _SHARES_MAX)
    return 1 + (clamped - 2) * (_WEIGHT_MAX - 1) // (_SHARES_MAX - 2)


class Cgroups:
    """Groups below one parent. Without rights, or on a machine of the first version, there are none."""

    def __init__(self, parent: str, root: Path = ROOT) -> None:
        self._parent = root / parent
        self._can = False
        if not (root / "cgroup.controllers").is_file():
            return
        try:
            self._parent.mkdir(exist_ok=True)
        except OSError as error:
            log.info("tasks are not limited by cgroups", extra={"reason": str(error)})
            return
        for directory in (root, self._parent):
            for name in CONTROLLERS:
                _write(directory / "cgroup.subtree_control", f"+{name}")
        self._can = True

    def make(self, name: str, *, memory_bytes: int, cpu_shares: int) -> str:
        """A group for a task, with its limits; empty if there is none."""
        if not self._can:
            return ""
        path = self._parent / f"{name}.scope"
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            log.warning("a task is not limited by a cgroup", extra={"task": name, "reason": str(error)})
            return ""
        if memory_bytes:
            _write(path / "memory.max", str(memory_bytes))
            _write(path / "memory.swap.max", "0")
        if cpu_shares:
            _write(path / "cpu.weight", str(weight_of(cpu_shares)))
        _write(path / "pids.max", str(PIDS_MAX))
        return str(path)


def _write(path: Path, text: str) -> None:
    """A limit that the kernel does not know, or does not let us set, is none."""
    with contextlib.suppress(OSError):
        path.write_text(text)
