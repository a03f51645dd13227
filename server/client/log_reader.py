"""A task's output over all its files, perhaps followed as it grows (spec node-agent §15)."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable

from yurt.server.client.allocdir import AllocDir
from yurt.server.client.files import FRAME_BYTES, HEARTBEAT_SECONDS, POLL_SECONDS, Frame
from yurt.server.client.rotating_log import DIGITS_MAX


class LogReader:
    """The files `TASK.KIND.N` of an allocation; `has_ended` tells that nothing will be written any more."""

    def __init__(self, directory: AllocDir, task: str, kind: str, has_ended: Callable[[], bool]) -> None:
        self._directory, self._prefix, self._has_ended = directory, f"{task}.{kind}.", has_ended

    def numbers(self) -> list[int]:
        """The files that are there."""
        try:
            directory = self._logs()
        except OSError:
            return []
        try:
            names = os.listdir(directory)
        finally:
            os.close(directory)
        rest = (name[len(self._prefix) :] for name in names if name.startswith(self._prefix))
        return sorted(int(one) for one in rest if one.isascii() and one.isdigit() and len(one) <= DIGITS_MAX)

    def _logs(self) -> int:
        """The directory; links are not followed, here and below: what a task puts in place of a log is not read."""
        return os.open(self._directory.logs, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _open(self, number: int) -> int:
        """Open a file if it is a regular one; raises OSError."""
        directory = self._logs()
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(f"{self._prefix}{number}", flags, dir_fd=directory)
        finally:
            os.close(directory)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file")

    def _size(self, number: int) -> int:
        try:
            fd = self._open(number)
        except OSError:
            return 0
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _start(self, offset: int, *, from_end: bool) -> tuple[int, int]:
        """The file and the position in it where reading begins."""
        numbers = self.numbers()
        if not numbers:
            return 0, 0
        if from_end:
            if offset == 0:
                return numbers[-1], 0
            for number in reversed(numbers):
                size = self._size(number)
                if offset <= size:
                    return number, size - offset
                offset -= size
            return numbers[0], 0
        for number in numbers:
            size = self._size(number)
            if offset < size or number == numbers[-1]:
                return number, min(offset, size)
            offset -= size
        return numbers[0], 0

    async def frames(self, offset: int, *, from_end: bool, on: bool) -> AsyncIterator[Frame | None]:
        """Everything from there to the newest byte, with `on` also what comes; None now and then if nothing does."""
        number, position = self._start(offset, from_end=from_end)
        fd, quiet = -1, 0.0
        try:
            while True:
                ended = self._has_ended()  # asked before the look, so that nothing is missed
                if fd < 0:
                    fd = self._opened(number)
                later: list[int] = []
                data = _read(fd, position)
                if not data:
                    later = [one for one in self.numbers() if one > number]
                    data = _read(fd, position)  # what came before the next file was begun
                if data:
                    position, quiet = position + len(data), 0.0
                    yield Frame(data, f"alloc/logs/{self._prefix}{number}", position)
                    await asyncio.sleep(0)
                elif later:
                    if fd >= 0:
                        os.close(fd)
                    fd, number, position = -1, later[0], 0
                elif not on or ended:
                    return
                else:
                    await asyncio.sleep(POLL_SECONDS)
                    quiet += POLL_SECONDS
                    if quiet >= HEARTBEAT_SECONDS:
                        quiet = 0.0
                        yield None
        finally:
            if fd >= 0:
                os.close(fd)

    def _opened(self, number: int) -> int:
        try:
            return self._open(number)
        except OSError:
            return -1


def _read(fd: int, position: int) -> bytes:
    return os.pread(fd, FRAME_BYTES, position) if fd >= 0 else b""
