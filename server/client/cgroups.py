"""Limits of tasks by cgroups of either version, where the machine lets us make them (spec node-agent §11)."""

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
    """Groups below one parent: one a task in the second version, one a task and controller in the first.

    Without rights there are none.
    """

    def __init__(self, parent: str, root: Path = ROOT) -> None:
        self._is_second = (root / "cgroup.controllers").is_file()
        places = (root,) if self._is_second else tuple(root / name for name in CONTROLLERS)
        self._parents: list[Path] = []
        for place in places:
            if not self._is_second and not (place / "cgroup.procs").is_file():
                continue
            try:
                (place / parent).mkdir(exist_ok=True)
            except OSError as error:
                log.info("tasks are not limited by cgroups", extra={"reason": str(error)})
                continue
            self._parents.append(place / parent)
        if self._is_second and self._parents:
            for directory in (root, *self._parents):
                for name in CONTROLLERS:
                    _write(directory / "cgroup.subtree_control", f"+{name}")

    def make(self, name: str, *, memory_bytes: int, cpu_shares: int) -> list[str]:
        """The groups of a task, with its limits; empty if there are none."""
        made: list[str] = []
        for parent in self._parents:
            path = parent / f"{name}.scope"
            try:
                path.mkdir(exist_ok=True)
            except OSError as error:
                log.warning("a task is not limited by a cgroup", extra={"task": name, "reason": str(error)})
                continue
            controllers = CONTROLLERS if self._is_second else (parent.parent.name,)
            for file, value in self._limits(controllers, memory_bytes, cpu_shares):
                _write(path / file, value)
            made.append(str(path))
        return made

    def remove(self) -> None:
        """Take the parents away, with what is empty below them."""
        for parent in self._parents:
            for path in (*parent.glob("*.scope"), parent):
                with contextlib.suppress(OSError):
                    path.rmdir()

    def _limits(self, controllers: tuple[str, ...], memory_bytes: int, cpu_shares: int) -> list[tuple[str, str]]:
        """Files and what is written into them."""
        found: list[tuple[str, str]] = []
        if "memory" in controllers and memory_bytes:
            limit = str(memory_bytes)
            found += (
                [("memory.max", limit), ("memory.swap.max", "0")]
                if self._is_second
                else [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", limit)]
            )
        if "cpu" in controllers and cpu_shares:
            found.append(
                ("cpu.weight", str(weight_of(cpu_shares)))
                if self._is_second
                else ("cpu.shares", str(min(max(cpu_shares, 2), _SHARES_MAX)))
            )
        if "pids" in controllers:
            found.append(("pids.max", str(PIDS_MAX)))
        return found


def _write(path: Path, text: str) -> None:
    """A limit that the kernel does not know, or does not let us set, is none."""
    with contextlib.suppress(OSError):
        path.write_text(text)
