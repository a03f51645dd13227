"""A load generator: keep-alive connections that send prepared requests as fast as the answers come."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from tests.process.servers import ServerProcess


def prepared(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of one HTTP/1.1 request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@dataclass
class Measured:
    """What a run saw: answers a second and latencies in milliseconds."""

    answers: int
    seconds: float
    latencies: list[float]
    failed: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    def quantile(self, part: float) -> float:
        """A latency quantile, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000

    @property
    def median(self) -> float:
        """The median latency, in milliseconds."""
        return statistics.median(self.latencies) * 1000


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends the next request when an answer is complete."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = bytearray()
        self.sent_at = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        request = self.run.next_request()
        assert self.transport is not None
        if request is None:
            self.transport.close()
            self.run.connection_ended()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 : head.find(b"\r\n", at) if head.find(b"\r\n", at) > 0 else None]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        self.run.answered(head[9:12] == b"200", time.perf_counter() - self.sent_at)
        del self.buffer[: end + 4 + length]
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self.run.connection_ended()


class Run:
    """One measurement: `connections` clients until `seconds` have passed or the requests are used up."""

    def __init__(self, make: Callable[[int], bytes | None], seconds: float, connections: int) -> None:
        self.make, self.seconds, self.connections = make, seconds, connections
        self.count = self.failed = 0
        self.latencies: list[float] = []
        self.left = connections
        self.done = asyncio.get_running_loop().create_future()
        self.deadline = time.perf_counter() + seconds
        self.number = 0

    def next_request(self) -> bytes | None:
        if time.perf_counter() >= self.deadline:
            return None
        self.number += 1
        return self.make(self.number)

    def answered(self, ok: bool, seconds: float) -> None:
        self.count += 1
        self.failed += not ok
        self.latencies.append(seconds)

    def connection_ended(self) -> None:
        self.left -= 1
        if self.left <= 0 and not self.done.done():
            self.done.set_result(None)


def measure(
    servers: list[ServerProcess], make: Callable[[int], bytes | None], *, seconds: float, connections: int = 64
) -> Measured:
    """Send `make(1)`, `make(2)`, … over `connections` connections spread over the servers."""

    async def run() -> Measured:
        loop = asyncio.get_running_loop()
        one = Run(make, seconds, connections)
        started = time.perf_counter()
        for number in range(connections):
            port = servers[number % len(servers)].http_port
            await loop.create_connection(lambda: Connection(one), "127.0.0.1", port)
        await asyncio.wait_for(one.done, seconds + 60)
        return Measured(one.count, time.perf_counter() - started, one.latencies, one.failed)

    try:
        import uvloop
    except ImportError:
        return asyncio.run(run())
    return uvloop.run(run())
