"""uvicorn's HTTP protocol with limits: time to send a request and to take an answer, size of a head, connections."""

from __future__ import annotations

import asyncio
import http
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from yurt.server.http.asgi.limits import head_refusal
from yurt.server.platform.address import client_of

HEAD_BYTES_MAX = 32 << 10
HEADERS_MAX = 100
TARGET_BYTES_MAX = 8 << 10
PACE_BYTES = 1 << 20  # of a body, before each deadline
READ_BYTES = 32 << 10  # of an answer, by a client that does not take all of it, in each span of time
_TOO_MANY = b"Your IP is issuing too many concurrent connections, please rate limit your calls\n"


def _refusal(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, len(body)) + body


TOO_MANY_CONNECTIONS = _refusal(b"429 Too Many Requests", _TOO_MANY)
NO_ROOM = _refusal(b"503 Service Unavailable", b"the server has as many connections as it may have; try again later\n")
HEAD_TOO_LARGE = _refusal(b"431 Request Header Fields Too Large", b"the request's headers are too large")
TARGET_TOO_LONG = _refusal(b"414 URI Too Long", b"the request's target is too long")


@dataclass
class Connections:
    """The limits of connections, and their number. A limit of 0 connections means any number."""

    request_seconds: float = 10.0
    write_seconds: float = 60.0  # for a client to take `READ_BYTES` of its answer, or the rest
    head_bytes_max: int = HEAD_BYTES_MAX
    headers_max: int = HEADERS_MAX
    target_bytes_max: int = TARGET_BYTES_MAX
    per_client_max: int = 100
    total_max: int = 0
    by_address: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def begin(self, address: str) -> bytes | None:
        """Count one more; the answer that refuses it, if it is one too many."""
        address = client_of(address)
        self.total += 1
        self.by_address[address] += 1
        if self.total_max and self.total > self.total_max:
            return NO_ROOM
        if self.per_client_max and self.by_address[address] > self.per_client_max:
            return TOO_MANY_CONNECTIONS
        return None

    def end(self, address: str) -> None:
        """One less."""
        address = client_of(address)
        self.total -= 1
        self.by_address[address] -= 1
        if self.by_address[address] <= 0:
            del self.by_address[address]


class LimitedProtocol(HttpToolsProtocol):
    """One HTTP connection. A class with its limits is made by `limited`."""

    bounds: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = self._header_count = self._paced_bytes = self._unsent = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._address = ""
        self._refused = self._head_is_whole = False
        self._running: Any = None  # the request in work; pipelined ones wait behind it
        self._read: Any = None  # the request whose head is whole and whose rest is still coming
        self.on_lost: Callable[[], object] | None = None  # called if the connection is lost; of the request in work

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_made(self, transport: Any) -> None:
        """Count the connection; refuse one too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if (refusal := self.bounds.begin(self._address)) is not None:
            self._refuse(refusal)
            return
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_deadline()
        self.resume_writing()
        self.bounds.end(self._address)
        if self._running is not None and not self._running.response_complete:  # uvicorn tells the newest one only
            self._running.disconnected = True
            self._running.message_event.set()
            if self.on_lost is not None:
                self.on_lost()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read: it is waited for, but not for ever."""
        super().pause_writing()
        self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        """A whole answer may lie there: who takes a part of it in each span of time is not too slow."""
        self._unsent = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self.bounds.write_seconds, self._look_at_reader)

    def _look_at_reader(self) -> None:
        left_max = max(0, self._unsent - READ_BYTES)
        if not self.transport.is_closing() and self.transport.get_write_buffer_size() <= left_max:
            self._wait_for_reader()
        else:
            self._too_slow()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """A request has begun: it must be whole before the deadline."""
        if self._refused:
            return
        if self._deadline is None:
            self._start_deadline()
        super().data_received(data)

    def handle_websocket_upgrade(self) -> None:
        """The request is whole; the connection has another protocol from now on."""
        self._stop_deadline()
        if self._refused:
            return
        if not self._may_write():
            self._refuse(b"")
            return
        super().handle_websocket_upgrade()

    def _start_deadline(self) -> None:
        self._stop_deadline()
        self._deadline = self.loop.call_later(self.bounds.request_seconds, self._too_slow)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()

    def _may_write(self) -> bool:
        """Whether what is written now is taken for the answer to what is being read, and to nothing else."""
        running = self._running
        if running is None or running.response_complete:
            return True
        return running is self._read and not running.response_started

    def _refuse(self, answer: bytes) -> None:
        """Answer what is being read and end the connection; break it off if an earlier answer is not whole."""
        self._refused = True
        if self.transport is None or self.transport.is_closing():
            return
        if self._may_write():
            self.transport.write(answer)
            self.transport.close()
        else:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(_refusal(b"400 Bad Request", msg.encode()))

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        """A new head."""
        self._head_bytes = self._header_count = self._paced_bytes = 0
        self._head_is_whole = False
        self._read = None
        super().on_message_begin()
        if self._deadline is None:  # it came in one piece with the end of the one before
            self._start_deadline()

    def on_url(self, url: bytes) -> None:
        """The target, perhaps in pieces."""
        self._head_bytes += len(url)
        if self._head_bytes > self.bounds.target_bytes_max:
            self._refuse(TARGET_TOO_LONG)
            return
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, counted before it is kept. One that follows a chunked body (a trailer) is not kept."""
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count > self.bounds.headers_max or self._head_bytes > self.bounds.head_bytes_max:
            if not self._refused:
                self._refuse(HEAD_TOO_LARGE)
            return
        if not self._head_is_whole:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole; a refused one goes no further."""
        if self._refused:
            return
        if (refusal := head_refusal(self.parser.get_http_version(), self.url, self.headers)) is not None:
            phrase = http.HTTPStatus(refusal.status).phrase
            self._refuse(_refusal(f"{refusal.status} {phrase}".encode(), refusal.text.encode()))
            return
        self._head_is_whole = True
        earlier = self.cycle
        super().on_headers_complete()
        self._read = self.cycle if self.cycle is not earlier else None

    def on_body(self, body: bytes) -> None:
        """A piece of the body; a large one may take longer, as long as it comes at a good pace."""
        self._paced_bytes += len(body)
        if self._paced_bytes >= PACE_BYTES and self._deadline is not None:
            self._paced_bytes = 0
            self._start_deadline()
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stop_deadline()
        self._read = None
        if not self._refused:
            super().on_message_complete()


class CountedWebSocket(WebSocketsSansIOProtocol):
    """A connection that became a WebSocket: it counts until it is lost."""

    bounds: Connections

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.bounds.end(self.client[0] if self.client else "")
        super().connection_lost(exc)


def limited(bounds: Connections) -> tuple[type[LimitedProtocol], type[CountedWebSocket]]:
    """The protocols with these limits, which all connections share."""
    return (
        type("Limited", (LimitedProtocol,), {"bounds": bounds}),
        type("Counted", (CountedWebSocket,), {"bounds": bounds}),
    )
