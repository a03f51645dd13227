"""Logs: one line an event, text on a terminal and JSON otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import deque
from datetime import UTC, datetime
from typing import TextIO

import orjson

TAIL_LINES_MAX = 512
LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields given as `extra=`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class TextFormatter(logging.Formatter):
    """`time [LEVEL] name: message: key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace below it if there is one."""
        text = f"{_time(record)} [{record.levelname}] {record.name}: {record.getMessage()}"
        if fields := " ".join(f"{key}={value}" for key, value in _fields(record).items()):
            text += ": " + fields
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `@timestamp`, `@level`, `@module`, `@message`, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "@timestamp": _time(record),
            "@level": record.levelname.lower(),
            "@module": record.name,
            "@message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def start_logging(
    level: str, *, json: bool | None = None, stream: TextIO | None = None, file: logging.Handler | None = None
) -> None:
    """Send every log line at `level` and above to `stream` (stderr), and to a file's handler if there is one.

    JSON unless the stream is a terminal, and in the file, if `json` says nothing else.
    """
    target = stream or sys.stderr
    handlers: list[logging.Handler] = [logging.StreamHandler(target)]
    handlers[0].setFormatter(JsonFormatter() if (not target.isatty() if json is None else json) else TextFormatter())
    if file is not None:
        file.setFormatter(TextFormatter() if json is False else JsonFormatter())
        handlers.append(file)
    logging.addLevelName(30, "WARN")
    logging.addLevelName(5, "TRACE")
    logging.getLogger().handlers[:] = handlers
    set_level(level)


def set_level(level: str) -> None:
    """Write lines at that level and above from now on; those who watch have levels of their own."""
    root = logging.getLogger()
    for handler in root.handlers:
        if not isinstance(handler, LogTail):
            handler.setLevel(LEVELS[level.upper()])
    _pass_on(root)
    logging.getLogger("uvicorn").setLevel(max(LEVELS[level.upper()], logging.WARNING))
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _pass_on(root: logging.Logger) -> None:
    """Let through what one of the handlers wants."""
    root.setLevel(min((handler.level for handler in root.handlers), default=logging.INFO))


class LogTail(logging.Handler):
    """Lines as they are logged, at a level of its own, for one who watches from the loop.

    A bounded number waits; what comes while they do is left out, and counted.
    """

    def __init__(self, level: str, *, json: bool) -> None:
        super().__init__(LEVELS[level.upper()])
        self.setFormatter(JsonFormatter() if json else TextFormatter())
        self._loop = asyncio.get_running_loop()
        self._lines: deque[str] = deque()
        self._left_out = 0
        self._news = asyncio.Event()

    def __enter__(self) -> LogTail:
        root = logging.getLogger()
        root.addHandler(self)
        _pass_on(root)
        return self

    def __exit__(self, *_error: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        _pass_on(root)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; from any thread."""
        if len(self._lines) >= TAIL_LINES_MAX:
            self._left_out += 1
            return
        self._lines.append(self.format(record))
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._news.set)

    async def lines(self, seconds: float) -> list[str]:
        """Return the lines logged since the last call; wait for the first one, for `seconds` at most."""
        if not self._lines:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        found = []
        while self._lines:
            found.append(self._lines.popleft())
        if self._left_out:
            found.append(f"[WARN] monitor: {self._left_out} lines were left out: they came faster than they are read")
            self._left_out = 0
        return found
