"""A log file that is replaced by a new one when it is full or old (the agent's `log_file` and `log_rotate_*` keys)."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

DEFAULT_NAME = "yurt.log"


class RotatingFile(logging.Handler):
    """Appends a line a record to `path`; full or old files are kept beside it as `NAME-UNIXNANOSECONDS.EXT`.

    `bytes_max` 0: any size. `seconds_max` 0: any age. `files_max` 0: all old files are kept. A file that cannot be
    opened is an OSError at the start; one that cannot be written later costs its lines, never the server.
    """

    def __init__(
        self,
        path: str,
        *,
        bytes_max: int = 0,
        seconds_max: float = 0.0,
        files_max: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        if path.endswith("/") or self.path.is_dir():
            self.path /= DEFAULT_NAME
        self._bytes_max, self._seconds_max, self._files_max, self._now = bytes_max, seconds_max, files_max, now
        self._file: TextIO | None = None
        self._said = ""
        self._open()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
        self._bytes, self._opened = self.path.stat().st_size, self._now()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, into a new file if it is time."""
        try:
            self.write_line(self.format(record))
        except (OSError, ValueError) as error:
            self._say(f"cannot be written: {error}")

    def write_line(self, line: str) -> None:
        """Write one line, into a new file if it is time; raises OSError, ValueError."""
        line += "\n"
        size = len(line.encode(errors="backslashreplace"))
        if self._file is None:
            self._open()
        elif self._is_due(size):
            self._rotate()
        assert self._file is not None
        self._file.write(line)
        self._file.flush()
        self._bytes += size

    def _is_due(self, size: int) -> bool:
        full = self._bytes_max and self._bytes and self._bytes + size > self._bytes_max
        old = self._seconds_max and self._now() - self._opened >= self._seconds_max
        return bool(full or old)

    def _rotate(self) -> None:
        self.close_file()
        try:
            self.path.rename(self.path.with_name(f"{self.path.stem}-{int(self._now() * 1e9)}{self.path.suffix}"))
            for old in self.archives()[: -self._files_max] if self._files_max else ():
                old.unlink(missing_ok=True)
            self._said = ""
        except OSError as error:
            self._say(f"cannot be replaced and grows on: {error}")
        self._open()

    def _say(self, text: str) -> None:
        """Tell of a trouble, once as long as it lasts."""
        if text != self._said:
            self._said = text
            print(f"==> the log file {self.path} {text}", file=sys.stderr)

    def archives(self) -> list[Path]:
        """The files that were replaced, the oldest first."""
        name = re.compile(re.escape(self.path.stem) + r"-([0-9]+)" + re.escape(self.path.suffix))
        found = [(int(match[1]), one) for one in self.path.parent.iterdir() if (match := name.fullmatch(one.name))]
        return [one for _, one in sorted(found)]

    def close_file(self) -> None:
        """Close the open file, if there is one."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the file; nothing is written after this."""
        self.close_file()
        super().close()
