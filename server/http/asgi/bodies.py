"""Long bodies on their way to clients: in chunks, at the pace of each client, bounded in sum.

A chunk is made and written when the connection has sent the one before. What stands in all write buffers together is
bounded, and so is a client's share of it: who reads slowly holds back nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from yurt.fsm.errors import Refusal
from yurt.server.http.asgi.budget import Budget
from yurt.server.http.asgi.client_connection import GONE, ClientConnection, client_connection
from yurt.server.http.query.found import LongBody
from yurt.server.platform.address import client_of
from yurt.server.platform.turns import Turns

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

CHUNK_BYTES = 128 << 10
UNSENT_BYTES_MAX = 64 << 20
UNSENT_BYTES_MAX_PER_CLIENT = 16 << 20
FULL_BYTES = 1  # in a write buffer: `drained` is exact; with 0 a TLS transport of asyncio is never resumed
_ANY_LENGTH = 1 << 62
_WINDOW_BITS = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


class Bodies:
    """Sends the long bodies of one server."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._unsent = Budget(UNSENT_BYTES_MAX, UNSENT_BYTES_MAX_PER_CLIENT)

    async def send(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        status: int,
        headers: list[Header],
        body: bytes | LongBody,
        encoding: bytes = b"",
    ) -> None:
        """Send an answer; `encoding` is gzip, deflate or empty for the body as it is.

        The headers are final. An error while the body is made breaks the connection off: the client sees that the
        answer is not whole.
        """
        connection = _Connection.of(receive)
        client = client_of(scope["client"][0]) if scope.get("client") else ""
        chunks: AsyncIterator[bytes | memoryview]
        if isinstance(body, bytes):
            chunks = _slices(body, self._turns, client)
            if not encoding:
                headers.append((b"content-length", b"%d" % len(body)))
        else:
            chunks = body.chunks(self._turns, client)
        if encoding:
            chunks = _compressed(chunks, encoding)
            headers.append((b"content-encoding", encoding))
        if connection is not None and scope["http_version"] == "1.0":
            connection.end_marks_end()
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._send_chunks(send, chunks, client, connection)
        except Exception:
            if connection is not None:
                connection.abort()
            raise
        finally:
            if connection is not None:
                connection.restore()

    async def _send_chunks(
        self, send: Send, chunks: AsyncIterator[bytes | memoryview], client: str, connection: _Connection | None
    ) -> None:
        async for chunk in chunks:
            for at in range(0, len(chunk), CHUNK_BYTES):
                part = chunk[at : at + CHUNK_BYTES] if len(chunk) > CHUNK_BYTES else chunk
                if not await self._has_room(len(part), client, connection):
                    return
                try:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    if connection is not None:
                        await connection.drained()
                finally:
                    self._unsent.give(len(part), client)
                if connection is not None and connection.is_gone:
                    return
        if connection is not None:
            connection.body_ends()
        await send({"type": "http.response.body", "body": b""})

    async def _has_room(self, size: int, client: str, connection: _Connection | None) -> bool:
        """Wait for the room of a chunk and take it; False if the connection ends meanwhile.

        A client that lets its other answers lie too long loses this one.
        """
        if connection is None:
            await self._unsent.take(size, client)
        elif not self._unsent.take_now(size, client):
            try:
                with connection.bounded():
                    await self._unsent.take(size, client)
            except Refusal:
                return False
        return True


class _Connection:
    """The connection behind an ASGI request, where uvicorn serves it: its write buffer, and how its body ends."""

    __slots__ = ("_asking", "_cycle", "_ends_with_connection")

    def __init__(self, cycle: RequestResponseCycle, client: ClientConnection | None) -> None:
        self._cycle, self._asking = cycle, client
        self._ends_with_connection = False
        cycle.transport.set_write_buffer_limits(high=FULL_BYTES)

    @classmethod
    def of(cls, receive: Receive) -> _Connection | None:
        """The connection; None if something else than uvicorn calls."""
        cycle = getattr(receive, "__self__", None)
        return cls(cycle, client_connection(receive)) if isinstance(cycle, RequestResponseCycle) else None

    @property
    def is_gone(self) -> bool:
        """Whether the client has left."""
        return self._cycle.disconnected

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Break off unless what is within ends in the time to take an answer; raises Refusal(499) when it is lost."""
        if self._asking is None:
            raise Refusal(499, GONE)
        deadline = asyncio.get_running_loop().call_later(self._asking.write_seconds, self.abort)
        try:
            with self._asking:
                yield
        finally:
            deadline.cancel()

    def end_marks_end(self) -> None:
        """Send neither length nor chunks: HTTP/1.0 knows no chunks."""
        self._ends_with_connection = True
        cycle = self._cycle
        cycle.chunked_encoding, cycle.expected_content_length, cycle.keep_alive = False, _ANY_LENGTH, False

    def body_ends(self) -> None:
        """The last chunk was sent."""
        if self._ends_with_connection:
            self._cycle.expected_content_length = 0

    async def drained(self) -> None:
        """Wait until everything that was written has been sent."""
        if self._cycle.flow.write_paused and not self._cycle.disconnected:
            await self._cycle.flow.drain()

    def restore(self) -> None:
        """Let short answers be buffered as before."""
        if not self._cycle.transport.is_closing():
            self._cycle.transport.set_write_buffer_limits(high=HIGH_WATER_LIMIT)

    def abort(self) -> None:
        """Break off, so that what was sent cannot be taken for the whole."""
        self._cycle.transport.abort()


async def _slices(body: bytes, turns: Turns, client: str) -> AsyncIterator[bytes | memoryview]:
    whole = memoryview(body)
    for at in range(0, len(body), CHUNK_BYTES):
        await turns.next(client)
        yield whole[at : at + CHUNK_BYTES]


async def _compressed(chunks: AsyncIterator[bytes | memoryview], encoding: bytes) -> AsyncIterator[bytes | memoryview]:
    stream = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS[encoding])
    async for chunk in chunks:
        if part := stream.compress(chunk):
            yield part
    yield stream.flush()
