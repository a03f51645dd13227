"""The history that clients saw, as JSON lines: written while it happens, read in order without being held in memory.

A line has `op`, `job`, `start`, `end` (seconds of one clock), `result`, `server`, and where they say something `value`,
`expected`, `index`, `mode`, `client`, `error`. The simulation writes the same.
"""

from __future__ import annotations

import heapq
import tempfile
import threading
from collections.abc import Hashable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

READ, WRITE, CAS, DELETE = "read", "write", "cas", "delete"
DISPATCH, CHILDREN, WATCH, ALLOCATIONS, CONVERGE = "dispatch", "children", "watch", "allocations", "converge"
READS = (READ, WATCH)
OK, CONFLICT, UNKNOWN, FAIL = "ok", "conflict", "unknown", "fail"
STALE = "stale"
RUN_EVENTS = 200_000  # that are sorted in memory at once; longer histories are sorted in runs on the disk
Value = Hashable


@dataclass(frozen=True, slots=True)
class Event:
    """One operation on a job; times in seconds of one clock.

    `value` is what was written or read, None for a job that is not there. `expected` is what a check-and-set was to
    find; its result is `conflict` if it found something else. `index` is the job's index in the answer, 0 if unknown.
    `unknown` may have happened at any time after it began, or never; `fail` surely did not. `mode` is how a read was
    asked for: "" (default), `consistent` or `stale`. Kinds beyond those of registers (`rules.py` judges them):
    `dispatch` (value: its token), `children` (value: the tokens of all children), `watch` (a blocking read; expected:
    the index that it waited to pass, of the query), `allocations` (value: the names of those that run), `converge`
    (whether a job came to what it wants). Any other kind is measured and not judged.
    """

    job: str
    kind: str
    began: float
    ended: float
    result: str = "ok"
    value: Value = None
    expected: Value = None
    index: int = 0
    server: str = ""
    mode: str = ""
    client: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A fault from its start to its end: what it was, and to which servers it was done."""

    start: float
    end: float
    fault: str
    servers: tuple[str, ...] = ()


def to_line(event: Event) -> bytes:
    """One line of a history."""
    line: dict[str, Any] = {
        "op": event.kind, "job": event.job, "start": round(event.began, 6), "end": round(event.ended, 6),
        "result": event.result, "server": event.server,
    }  # fmt: skip
    for name in ("value", "expected", "index", "mode", "client", "error"):
        if (given := getattr(event, name)) not in (None, "", 0) or (name == "value" and given is not None):
            line[name] = given
    return orjson.dumps(line) + b"\n"


def from_line(line: bytes) -> Event:
    """The event of a line; raises ValueError for what is none."""
    given = orjson.loads(line)
    try:
        return Event(
            given["job"], given["op"], given["start"], given["end"], given["result"],
            _hashable(given.get("value")), _hashable(given.get("expected")), given.get("index", 0),
            given.get("server", ""), given.get("mode", ""), given.get("client", 0), given.get("error", ""),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no operation of a history: {line[:200]!r}") from error


def _hashable(value: Any) -> Value:
    if isinstance(value, list):
        return tuple(_hashable(one) for one in value)
    if isinstance(value, dict):
        raise ValueError("values of a history are texts, numbers, lists of them or null")  # noqa: TRY004 (of data)
    return value  # type: ignore[no-any-return]


def read(file: Path) -> Iterator[Event]:
    """All events of a file, as they stand there; a last line that was not finished is left out."""
    with file.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield from_line(line)


def in_order(events: Iterable[Event], run_events: int = RUN_EVENTS) -> Iterator[Event]:
    """The events by when they began. More than `run_events` are sorted by runs in temporary files."""
    with ExitStack() as stack:
        runs: list[Iterator[Event]] = []
        run: list[Event] = []
        for event in events:
            run.append(event)
            if len(run) >= run_events:
                runs.append(_spilled(stack, run))
                run = []
        run.sort(key=_order)
        yield from heapq.merge(*runs, run, key=_order) if runs else run


def _order(event: Event) -> tuple[float, float]:
    return event.began, event.ended


def _spilled(stack: ExitStack, run: list[Event]) -> Iterator[Event]:
    file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    file.writelines(to_line(event) for event in sorted(run, key=_order))
    file.seek(0)
    return map(from_line, file)


class Recorder:
    """Writes a history while it happens, from any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb")
        self._lock = threading.Lock()
        self.count = 0

    def write(self, event: Event) -> None:
        """Add an operation that has ended; after `close` it is left out."""
        line = to_line(event)
        with self._lock:
            if not self._file.closed:
                self._file.write(line)
                self.count += 1

    def close(self) -> None:
        """Write what is still in memory."""
        with self._lock:
            self._file.close()
