"""The files of an experiment's directory: what was wanted, what was done, what clients saw, what it means."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from yurt.testing import Window

EXPERIMENT, HISTORY, FAULTS, VERDICT, REPORT = (
    "experiment.json", "history.jsonl", "faults.jsonl", "verdict.json", "report.html",
)  # fmt: skip


class FaultLog:
    """`faults.jsonl`: a line for each fault that has ended, each change of leadership, each remark."""

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self._file: IO[str] = file.open("w")
        self._clock, self._lock = clock, threading.Lock()
        self._leader: str | None = None
        self.count = 0

    def _write(self, **line: Any) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()

    @contextlib.contextmanager
    def fault(self, name: str, *servers: str) -> Iterator[None]:
        """The time in which something is wrong; also one that is broken off."""
        start = self._clock()
        self.count += 1
        try:
            yield
        finally:
            self._write(start=round(start, 4), end=round(self._clock(), 4), fault=name, servers=list(servers))

    def leads(self, name: str) -> None:
        """A server leads, or nobody does ("")."""
        if name != self._leader:
            self._leader = name
            self._write(at=round(self._clock(), 4), leader=name)

    def ended(self, name: str) -> None:
        """A server or a node is down though nothing was done to it."""
        self._write(at=round(self._clock(), 4), ended=name)

    def remark(self, text: str) -> None:
        """Something that a reader should know."""
        self._write(at=round(self._clock(), 4), remark=text)

    def close(self) -> None:
        """No more lines."""
        with self._lock:
            self._file.close()


@dataclass
class Faults:
    """The contents of a fault log."""

    windows: list[Window] = field(default_factory=list)
    leaders: list[tuple[float, str]] = field(default_factory=list)
    remarks: list[tuple[float, str]] = field(default_factory=list)
    ended: list[tuple[float, str]] = field(default_factory=list)


def read_faults(file: Path) -> Faults:
    """A fault log; empty if there is none, without a last line that was not finished."""
    found = Faults()
    if not file.exists():
        return found
    for line in file.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        given = json.loads(line)
        if "fault" in given:
            found.windows.append(Window(given["start"], given["end"], given["fault"], tuple(given["servers"])))
        elif "leader" in given:
            found.leaders.append((given["at"], given["leader"]))
        elif "ended" in given:
            found.ended.append((given["at"], given["ended"]))
        else:
            found.remarks.append((given["at"], given["remark"]))
    found.windows.sort(key=lambda one: one.start)
    return found


def write_json(file: Path, value: Any) -> None:
    """Indented, in one step."""
    partial = file.with_name(file.name + ".part")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    partial.replace(file)
