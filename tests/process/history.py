"""Clients that write and read jobs, what they saw, and whether a single copy could have answered so.

Each job is a register with one writer: its value is a number that grows, written with check-and-set. Then a history is
linearizable if every read lies between what was acknowledged before it began and what was asked for before it ended,
and no read goes back behind one that ended before it began.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.process.servers import ServerProcess, small_job
from yurt.server.testing.history import CAS, OK, READ, UNKNOWN, Event


@dataclass
class Register:
    """One job: what was asked for, acknowledged and read so far."""

    job_id: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: int = 0
    acknowledged: int = 0
    seen: int = 0
    index: int = 0  # JobModifyIndex of the newest acknowledged write
    writes: int = 0
    reads: int = 0
    unknown: int = 0
    doubtful: bool = False  # the newest write may or may not be carried out
    violations: list[str] = field(default_factory=list)


def job(register: Register, value: int) -> dict[str, object]:
    """The job with a value."""
    return small_job(register.job_id, Meta={"value": str(value)})


class Client(threading.Thread):
    """Works on one register through random servers until it is told to end."""

    def __init__(self, servers: list[ServerProcess], register: Register, seed: int, *, writes: bool) -> None:
        super().__init__(daemon=True)
        self.servers, self.register, self.chance, self.writes = servers, register, random.Random(seed), writes
        self.ended = threading.Event()
        self.events: list[Event] = []  # for the checker, which needs no register with one writer
        self.known_value: int | None = None

    def note(self, kind: str, began: float, result: str, value: int | None, **fields: Any) -> None:
        """Keep an operation that ends now."""
        event = Event(self.register.job_id, kind, began, time.monotonic(), result, value, **fields)  # type: ignore[arg-type]
        self.events.append(event)

    def run(self) -> None:
        while not self.ended.is_set():
            server = self.chance.choice(self.servers)
            try:
                if self.writes:
                    self.write(server)
                else:
                    self.read(server)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)

    def write(self, server: ServerProcess) -> None:
        """Write the next value if the job is still as it was known; after a doubtful write find out what is there.

        A write that was given up may be carried out later, but then only if nothing else was: its index is checked.
        """
        register = self.register
        if register.doubtful:
            began = time.monotonic()
            status, body = server.request("GET", f"/v1/job/{register.job_id}?consistent", timeout=12)
            if status not in (200, 404):
                return
            self.known_index = body["JobModifyIndex"] if status == 200 else 0
            self.known_value = int(body["Meta"]["value"]) if status == 200 else None
            self.note(READ, began, OK, self.known_value, index=self.known_index, server=server.name)
            register.doubtful = False
        with register.lock:
            register.asked += 1
            value = register.asked
        register.doubtful = True
        request = {**job(register, value), "EnforceIndex": True, "JobModifyIndex": self.known_index}
        began, expected, status, body = time.monotonic(), self.known_value, 0, None
        try:
            status, body = server.request("PUT", "/v1/jobs", request, timeout=12)
        finally:
            index = body["JobModifyIndex"] if status == 200 else 0
            known = {"expected": expected, "index": index, "server": server.name}
            self.note(CAS, began, OK if status == 200 else UNKNOWN, value, **known)
        if status != 200:
            register.unknown += 1
            return
        self.known_value = value
        with register.lock:
            register.doubtful = False
            register.writes += 1
            if body["JobModifyIndex"] <= register.index:
                register.violations.append(f"{register.job_id}: index {body['JobModifyIndex']} after {register.index}")
            register.index = self.known_index = body["JobModifyIndex"]
            register.acknowledged = register.seen = value

    known_index = 0

    def read(self, server: ServerProcess) -> None:
        """Read by default or consistently."""
        register = self.register
        with register.lock:
            low = max(register.acknowledged, register.seen)
        query = self.chance.choice(("", "", "?consistent"))
        began = time.monotonic()
        status, body = server.request("GET", f"/v1/job/{register.job_id}{query}", timeout=12)
        if status not in (200, 404):
            return
        index = body["JobModifyIndex"] if status == 200 else 0
        seen = int(body["Meta"]["value"]) if status == 200 else None
        self.note(READ, began, OK, seen, index=index, server=server.name)
        if status == 404 and low == 0:
            return
        value = seen or 0
        with register.lock:
            register.reads += 1
            if value < low:
                register.violations.append(f"{register.job_id}: {server.name} read {value}{query}, but {low} was known")
            if value > register.asked:
                register.violations.append(f"{register.job_id}: {value} was never asked for")
            register.seen = max(register.seen, value)
