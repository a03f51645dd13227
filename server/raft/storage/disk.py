"""The few things the engine asks of a disk, so that a simulation can be one."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from typing import Protocol

ZEROS_BYTES = 1 << 20


class File(Protocol):
    """An open file; every call may raise OSError."""

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""

    def sync(self) -> None:
        """Return when everything written is durable."""

    def truncate(self, size: int) -> None:
        """Cut the file."""

    def preallocate(self, size: int) -> None:
        """Make sure that `size` bytes can be written without asking for space."""

    def close(self) -> None:
        """Close it."""


class Disk(Protocol):
    """A file system."""

    @property
    def syncs(self) -> bool:
        """Whether a sync waits for the device."""

    def create(self, path: str) -> File:
        """Open a new, empty file (an old one of that name is emptied)."""

    def open(self, path: str) -> File:
        """Open an existing file for writing."""

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        """The bytes of a file from `offset` on, all or up to `length`."""

    def size(self, path: str) -> int:
        """The length of a file in bytes."""

    def age(self, path: str) -> float:
        """The seconds since a file was written."""

    def list(self, directory: str) -> list[str]:
        """The names in a directory, sorted; empty if it does not exist."""

    def make_directory(self, directory: str) -> None:
        """Create a directory and those above it."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of the one that has it."""

    def remove(self, path: str) -> None:
        """Delete a file."""

    def sync_directory(self, directory: str) -> None:
        """Make creations, renames and deletions in it durable."""


class _RealFile:
    def __init__(self, path: str, flags: int, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._fd = os.open(path, flags | os.O_CLOEXEC, 0o600)

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            offset += written
            view = view[written:]

    def sync(self) -> None:
        started = time.perf_counter()
        os.fdatasync(self._fd)
        self._observe(time.perf_counter() - started)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def preallocate(self, size: int) -> None:
        try:
            os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            self._fill(size)

    def _fill(self, size: int) -> None:
        """Zeros up to `size`, where the file system cannot set space aside."""
        at = os.fstat(self._fd).st_size
        while at < size:
            part = min(ZEROS_BYTES, size - at)
            self.write(at, bytes(part))
            at += part

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class RealDisk:
    """The machine's file system. With `sync` off nothing waits for the device (a data directory that may be lost).

    `observe` is told how many seconds each sync of a file took.
    """

    def __init__(self, *, sync: bool = True, observe: Callable[[float], None] = lambda _seconds: None) -> None:
        self._sync, self._observe = sync, observe

    @property
    def syncs(self) -> bool:
        """Whether a sync waits for the device."""
        return self._sync

    def create(self, path: str) -> File:
        """Open a new, empty file."""
        return self._file(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def open(self, path: str) -> File:
        """Open an existing file for writing."""
        return self._file(path, os.O_RDWR)

    def _file(self, path: str, flags: int) -> File:
        return (_RealFile if self._sync else _UnsyncedFile)(path, flags, self._observe)

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        """The bytes of a file from `offset` on, all or up to `length`."""
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(length)

    def size(self, path: str) -> int:
        """The length of a file in bytes."""
        return os.stat(path).st_size

    def age(self, path: str) -> float:
        """The seconds since a file was written, by the machine's clock; 0 if that was set back."""
        return max(0.0, time.time() - os.stat(path).st_mtime)

    def list(self, directory: str) -> list[str]:
        """The names in a directory, sorted."""
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_directory(self, directory: str) -> None:
        """Create a directory and those above it, for this user only, durably."""
        missing = []
        while directory and not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            os.makedirs(path, mode=0o700, exist_ok=True)
            self.sync_directory(os.path.dirname(path) or ".")

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        os.replace(old, new)

    def remove(self, path: str) -> None:
        """Delete a file."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)

    def sync_directory(self, directory: str) -> None:
        """Make the directory's entries durable."""
        if not self._sync:
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class _UnsyncedFile(_RealFile):
    def sync(self) -> None:
        """Nothing: the directory may be lost."""
