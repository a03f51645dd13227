"""Logs: one line an event, text on a terminal and JSON otherwise."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was given as `extra=`."""
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
    """Write lines at that level and above from now on."""
    logging.getLogger().setLevel(LEVELS[level.upper()])
    logging.getLogger("uvicorn").setLevel(max(LEVELS[level.upper()], logging.WARNING))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
