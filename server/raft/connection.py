"""One connection between two servers: frames, the hello, requests and their answers.

    frame = length (4 bytes, big endian), kind (1 byte), body

The first frame of each side is its hello; its first byte is 0x00, because it is short. After that come Raft messages,
requests and answers. Anything else, a frame that is too long, or silence instead of the hello ends the connection.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from yurt.server.raft.errors import NotSent, OutcomeUnknown
from yurt.server.raft.first_byte import Protocol, protocol_of
from yurt.server.raft.messages import MESSAGE_BYTES_MAX, BadMessage

log = logging.getLogger("raft.transport")

HELLO, RAFT, REQUEST, ANSWER = 0, 1, 2, 3
HELLO_SECONDS_MAX = 5.0
HELLO_BYTES_MAX = 8 << 10
SMALL_BYTES_MAX = 64 << 10  # of a frame of whoever; larger ones have to be permitted
UNREAD_BYTES_MAX = 256 << 10  # of answers to a stranger
BUFFERED_BYTES_MAX = 16 << 20
_HEAD = struct.Struct(">IB")


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What servers tell each other first. `configuration` is that of the log, None if there is no log."""

    protocol: int = 1
    cluster: bytes = b""
    region: str = ""
    name: str = ""
    server_id: str = ""
    address: str = ""
    http_address: str = ""
    software: str = ""
    command_version: int = 0
    expect: int = 0
    datacenter: str = ""
    election_seconds: float = 0.0
    configuration: list[list[str]] | None = None


_hello_decoder = msgspec.msgpack.Decoder(Hello)
_request_decoder: msgspec.msgpack.Decoder[tuple[bytes, str, bytes]] = msgspec.msgpack.Decoder(tuple[bytes, str, bytes])
_answer_decoder: msgspec.msgpack.Decoder[tuple[bytes, bool, bytes]] = msgspec.msgpack.Decoder(tuple[bytes, bool, bytes])


@dataclass
class Counters:
    """Raft messages and bytes to and from one peer, messages dropped on the way out, connections since the start."""

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    dropped: int = 0
    connections: int = 0


class Connection(asyncio.Protocol):
    """One side of a connection; `on_hello` may refuse the other side by returning False.

    `address` is what this side dialled, empty if the other side did.
    """

    def __init__(
        self,
        own_hello: Callable[[], Hello],
        *,
        address: str,
        on_hello: Callable[[Connection, Hello], bool],
        on_raft: Callable[[Connection, bytes], None],
        on_request: Callable[[Connection, bytes, str, bytes], None],
        on_lost: Callable[[Connection], None],
        large_frames: Callable[[Connection], bool] = lambda _connection: True,
        handshake_seconds: float = HELLO_SECONDS_MAX,
    ) -> None:
        self.own_hello, self.address, self.dialled = own_hello, address, bool(address)
        self.on_hello, self.on_raft, self.on_request, self.on_lost = on_hello, on_raft, on_request, on_lost
        self._large_frames, self._handshake_seconds = large_frames, handshake_seconds
        self.hello: Hello | None = None
        self.heard_at = 0.0  # when the last whole frame came, by the loop's clock
        self.transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()
        self.counters = Counters()
        self._buffer = bytearray()
        self._answers: dict[bytes, asyncio.Future[bytes]] = {}
        self._hello_timer: asyncio.TimerHandle | None = None

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, if this side dialled; wait for the other's, but not for long."""
        self.transport = stream = cast(asyncio.Transport, transport)  # uvloop has a family of its own
        stream.set_write_buffer_limits(high=BUFFERED_BYTES_MAX)
        self._hello_timer = asyncio.get_running_loop().call_later(self._handshake_seconds, self.close)
        if self.dialled:
            self._send(HELLO, msgspec.msgpack.encode(self.own_hello()))

    def data_received(self, data: bytes) -> None:
        """Take whole frames out of what came."""
        if self.hello is None and not self._buffer:
            protocol = protocol_of(data[0], tls=False)
            if protocol is not Protocol.PEER:
                self._refuse_protocol(protocol, data[0])
                return
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _HEAD.size:
                length, kind = _HEAD.unpack_from(self._buffer, start)
                self._check_length(length)
                end = start + _HEAD.size + length
                if len(self._buffer) < end:
                    break
                self._frame(kind, bytes(memoryview(self._buffer)[start + _HEAD.size : end]))
                start = end
        except (BadMessage, msgspec.MsgspecError):
            self.close()
            return
        if start:
            del self._buffer[:start]

    def _refuse_protocol(self, protocol: Protocol, byte: int) -> None:
        """Close a connection that does not begin as a peer's: in order if it speaks the client protocol."""
        if protocol is Protocol.CLIENT and self.transport is not None:
            log.debug("client protocol refused on the peer port", extra={"byte": byte})
            self.transport.close()
        else:
            self.close()

    def _check_length(self, length: int) -> None:
        if length > (MESSAGE_BYTES_MAX if self.hello else HELLO_BYTES_MAX):
            raise BadMessage(f"a frame of {length} bytes")
        if length > SMALL_BYTES_MAX and not self._large_frames(self):
            raise BadMessage(f"a frame of {length} bytes of a stranger")

    @property
    def holds_large_frame(self) -> bool:
        """Whether more than a small frame has come and waits for its end."""
        return len(self._buffer) > SMALL_BYTES_MAX

    def connection_lost(self, error: Exception | None) -> None:
        """Requests in flight have an unknown outcome."""
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(OutcomeUnknown())
        self._answers.clear()
        if not self.lost.done():
            self.lost.set_result(None)
        self.on_lost(self)

    def _frame(self, kind: int, body: bytes) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        if self.hello is None:
            self._greeted(kind, body)
        elif kind == RAFT:
            self.counters.received += 1
            self.counters.received_bytes += len(body)
            self.on_raft(self, body)
        elif kind == REQUEST:
            self.on_request(self, *_request_decoder.decode(body))
        elif kind == ANSWER:
            request_id, ok, payload = _answer_decoder.decode(body)
            future = self._answers.pop(request_id, None)
            if future is not None and not future.done():
                if ok:
                    future.set_result(payload)
                else:
                    future.set_exception(NotSent(payload.decode("utf-8", "replace")))
        else:
            raise BadMessage(f"a frame of kind {kind}")

    def _greeted(self, kind: int, body: bytes) -> None:
        if kind != HELLO:
            raise BadMessage("no hello")
        self.hello = _hello_decoder.decode(body)
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        if not self.dialled:
            self._send(HELLO, msgspec.msgpack.encode(self.own_hello()))
        if not self.on_hello(self, self.hello):
            self.close()

    # --- the owner's side

    def close(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.abort()

    def certificate(self) -> dict[str, Any] | None:
        """The other side's verified certificate, None without TLS."""
        found: dict[str, Any] | None = self.transport.get_extra_info("peercert") if self.transport else None
        return found

    @property
    def host(self) -> str:
        """The other side's IP address; empty before the connection stands."""
        found = self.transport.get_extra_info("peername") if self.transport else None
        return str(found[0]) if found else ""

    @property
    def is_open(self) -> bool:
        """Whether both sides have said hello and the connection stands."""
        return self.hello is not None and self.transport is not None and not self.transport.is_closing()

    def _send(self, kind: int, body: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(_HEAD.pack(len(body), kind) + body)

    def send_raft(self, data: bytes) -> None:
        """Send a Raft message, unless the other side does not read: the protocol repairs what is lost."""
        if self.is_open and self.transport is not None and self.transport.get_write_buffer_size() < BUFFERED_BYTES_MAX:
            self._send(RAFT, data)
            self.counters.sent += 1
            self.counters.sent_bytes += len(data)
        else:
            self.counters.dropped += 1

    async def call(self, method: str, payload: bytes, *, timeout: float) -> bytes:
        """The answer to a request; `NotSent` or `OutcomeUnknown` if there is none."""
        if not self.is_open:
            raise NotSent("the connection is closed")
        request_id = secrets.token_bytes(16)
        future = self._answers[request_id] = asyncio.get_running_loop().create_future()
        self._send(REQUEST, msgspec.msgpack.encode((request_id, method, payload)))
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise OutcomeUnknown from None
        finally:
            self._answers.pop(request_id, None)

    def refuse(self, request_id: bytes, reason: str) -> None:
        """Answer that a request was not carried out; end the connection of a caller that reads no answers."""
        if self.transport is not None and self.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self.close()
        self.answer(request_id, False, reason.encode())

    def answer(self, request_id: bytes, ok: bool, payload: bytes) -> None:
        """Answer a request; with `ok` False it was surely not carried out."""
        self._send(ANSWER, msgspec.msgpack.encode((request_id, ok, payload)))
