"""Faults of disk and clock on purpose, for experiments: only with YURT_FAULTS=FILE in an agent's environment.

The file is JSON: `sync_seconds` (each sync takes so much longer), `full` (nothing new finds room on the disk),
`clock_seconds` (the wall clock is so far from the truth); it is looked at again as it changes. docs/experiments.md
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Callable

from yurt.server.raft.storage.disk import File, RealDisk

VARIABLE = "YURT_FAULTS"

_log = logging.getLogger("yurt.faults")


class Faults:
    """The faults that the file names, as last read; none before it could be read."""

    def __init__(self, path: str) -> None:
        self._path, self._seen = path, -1
        self.sync_seconds, self.is_full, self.clock_seconds = 0.0, False, 0.0
        _log.warning("%s is set: disk and clock of this agent fail as %s says; never use this for real", VARIABLE, path)

    def look(self) -> Faults:
        """Read the file again if it has changed."""
        try:
            changed = os.stat(self._path).st_mtime_ns
            if changed != self._seen:
                with open(self._path, encoding="utf-8") as file:
                    given = json.load(file)
                self.sync_seconds = max(0.0, float(given.get("sync_seconds", 0.0)))
                self.is_full = bool(given.get("full", False))
                self.clock_seconds = float(given.get("clock_seconds", 0.0))
                self._seen = changed
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.debug("%s: %s", self._path, error)
        return self

    def now_ns(self) -> int:
        """The wall clock, as wrong as it shall be."""
        return time.time_ns() + int(self.look().clock_seconds * 1e9)


class FaultyDisk(RealDisk):
    """The machine's file system, with slow syncs and without room for what is new."""

    def __init__(self, faults: Faults, *, sync: bool, observe: Callable[[float], None]) -> None:
        super().__init__(sync=sync, observe=observe)
        self._faults = faults

    def _file(self, path: str, flags: int) -> File:
        if flags & os.O_CREAT:
            refuse_if_full(self._faults, path)
        return _FaultyFile(super()._file(path, flags), self._faults, path)


class _FaultyFile:
    def __init__(self, file: File, faults: Faults, path: str) -> None:
        self._file, self._faults, self._path = file, faults, path
        self.write, self.truncate, self.close = file.write, file.truncate, file.close

    def sync(self) -> None:
        if seconds := self._faults.look().sync_seconds:
            time.sleep(seconds)  # on the disk thread
        self._file.sync()

    def preallocate(self, size: int) -> None:
        refuse_if_full(self._faults, self._path)
        self._file.preallocate(size)


def refuse_if_full(faults: Faults, path: str) -> None:
    """Raise OSError as a full disk does."""
    if faults.look().is_full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def faults_asked_for() -> Faults | None:
    """The faults of this agent, None without the variable."""
    path = os.environ.get(VARIABLE)
    return Faults(path) if path else None


def disk_of(faults: Faults | None, *, sync: bool, observe: Callable[[float], None]) -> RealDisk:
    """The machine's disk, with the faults that were asked for."""
    return RealDisk(sync=sync, observe=observe) if faults is None else FaultyDisk(faults, sync=sync, observe=observe)
