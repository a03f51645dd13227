"""A task's log files, as its supervisor writes them (spec node-agent §15). Needs nothing but the standard library."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

DIGITS_MAX, NUMBERS_TRIED = 9, 16
LINE_BYTES = 32 << 10  # a line is kept whole if its end comes within so much of a file's end


class RotatingLog:
    """`DIRECTORY/PREFIX.N`: goes on in the newest file, keeps so many. A disk without room loses output only."""

    def __init__(self, directory: str, prefix: str, files_max: int, bytes_max: int) -> None:
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._prefix = prefix
        self._files_max, self._bytes_max = max(1, files_max), max(1, bytes_max)
        self._numbers = sorted(self._present())
        self._fd = -1
        self._size = 0
        with contextlib.suppress(OSError):  # output is lost, the task runs
            self._open(self._numbers[-1] if self._numbers else 0)

    def _present(self) -> list[int]:
        start = f"{self._prefix}."
        rest = (name[len(start) :] for name in os.listdir(self._directory) if name.startswith(start))
        return [int(one) for one in rest if one.isascii() and one.isdigit() and len(one) <= DIGITS_MAX]

    def _name(self, number: int) -> str:
        return f"{self._prefix}.{number}"

    def _open(self, number: int) -> None:
        number, fd = self._opened(number)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size = fd, os.fstat(fd).st_size
        if number not in self._numbers:
            self._numbers.append(number)
        while len(self._numbers) > self._files_max:
            with contextlib.suppress(OSError):
                os.unlink(self._name(self._numbers[0]), dir_fd=self._directory)
            del self._numbers[0]

    def _opened(self, number: int) -> tuple[int, int]:
        """Open the first file from `number` on that is a regular one: a task may have put anything in its place.

        Raises OSError.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        for candidate in range(number, number + NUMBERS_TRIED):
            try:
                fd = os.open(self._name(candidate), flags, 0o644, dir_fd=self._directory)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES):
                    continue
                raise
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                return candidate, fd
            os.close(fd)
        raise OSError(errno.EINVAL, "no log file can be opened")

    def write(self, data: bytes) -> None:
        """Append, over as many files as it takes."""
        view = memoryview(data)
        try:
            if self._fd < 0:
                self._open(self._numbers[-1] if self._numbers else 0)
            while view:
                room = self._bytes_max - self._size
                if room <= 0:
                    self._open(self._numbers[-1] + 1)
                    continue
                part = view[:room]
                if len(view) > room and (end := bytes(part[-LINE_BYTES:]).rfind(b"\n")) >= 0:
                    part = part[: len(part) - min(len(part), LINE_BYTES) + end + 1]
                    self._write(part)
                    self._size = self._bytes_max
                else:
                    self._write(part)
                view = view[len(part) :]
        except OSError:
            return

    def _write(self, part: memoryview) -> None:
        while part:
            written = os.write(self._fd, part)
            self._size += written
            part = part[written:]

    def close(self) -> None:
        """No more output."""
        if self._fd >= 0:
            os.close(self._fd)
        os.close(self._directory)
        self._fd = -1
