"""The audit log: a JSON line for every request, who made it and what came of it (docs/operating.md).

A thread of its own writes; a bounded queue leads to it. Bodies, query parameters and secrets are never in it.
"""

from __future__ import annotations

import logging
import queue
from datetime import UTC, datetime
from typing import Any

import orjson

from yurt.server.config.agent import Audit, AuditSink, nanoseconds
from yurt.server.platform.supervision import Supervisor
from yurt.server.telemetry.metrics import Metrics
from yurt.server.telemetry.rotating_file import RotatingFile

log = logging.getLogger("audit")

LINES_MAX = 10_000
ENFORCED, BEST_EFFORT = "enforced", "best-effort"
AGAIN = "the audit log can be written again; lines before this one may be missing"
REFUSAL = "the audit log cannot be written and is enforced; nothing was done. Make room for it, or see the server's log"


class AuditLog:
    """Lines on their way to one file. Raises OSError if that cannot be opened.

    What cannot be written is counted. `is_enforced`: then nothing is changed until lines can be written again.
    """

    def __init__(self, path: str, sink: AuditSink, metrics: Metrics, supervisor: Supervisor) -> None:
        self.is_enforced = sink.delivery_guarantee == ENFORCED
        self._file = RotatingFile(
            path,
            bytes_max=sink.rotate_bytes,
            seconds_max=nanoseconds(sink.rotate_duration) / 1e9,
            files_max=sink.rotate_max_files,
        )
        self._metrics = metrics
        metrics.count("yurt.audit.lost", by=0)  # alerts see only counters rise that were there
        self._lines: queue.Queue[bytes | None] = queue.Queue(LINES_MAX)
        self._is_failing = False
        self._thread = supervisor.thread("audit", self._write_all)

    @property
    def refuses(self) -> bool:
        """Whether nothing may be changed now."""
        if not self.is_enforced:
            return False
        if self._is_failing:
            self._put(b"")  # is there room again?
        return self._is_failing or self._lines.full()

    def record(self, line: dict[str, Any]) -> None:
        """Note a request and its answer, with the time of now."""
        self._put(orjson.dumps({"time": _now(), **line}))

    def _put(self, line: bytes | None) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._metrics.count("yurt.audit.lost")

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                if self._is_failing:
                    self._file.write_line(orjson.dumps({"time": _now(), "note": AGAIN}).decode())
                    self._is_failing = False
                if line:
                    self._file.write_line(line.decode())
            except (OSError, ValueError) as error:
                if not self._is_failing:
                    log.error("the audit log cannot be written", extra={"reason": str(error)})
                self._is_failing = True
                if line:
                    self._metrics.count("yurt.audit.lost")

    def close(self) -> None:
        """Write what waits, and no more."""
        self._put(None)
        self._thread.join(5.0)
        self._file.close()


def audit_log(config: Audit, data_dir: str, metrics: Metrics, supervisor: Supervisor) -> AuditLog | None:
    """The log that the configuration asks for; its first sink counts. Raises OSError."""
    if not config.enabled:
        return None
    sink = next(iter(config.sink.values()), AuditSink())
    return AuditLog(sink.path or f"{data_dir}/audit/audit.log", sink, metrics, supervisor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
