"""One connection between two servers: frames, the hello, requests and their answers.

    frame = length (4 bytes, big endian), kind (1 byte), body

First comes the handshake (`handshake.py`); its first byte is 0x00, because its frames are short. After that come Raft
messages, requests and answers. Anything else, a frame that is too long, or silence instead of the handshake ends the
connection.
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

from yurt.server.raft.core.messages import MESSAGE_BYTES_MAX, BadMessage
from yurt.server.raft.errors import NotSent, OutcomeUnknown
from yurt.server.raft.transport.first_byte import Protocol, protocol_of
from yurt.server.raft.transport.handshake import FRAME_BYTES_MAX as HANDSHAKE_FRAME_BYTES_MAX
from yurt.server.raft.transport.handshake import REFUSED, Handshake, Hello, PeerRefused, Step

log = logging.getLogger("raft.transport")

RAFT, REQUEST, ANSWER = 1, 2, 3  # and those of the handshake: 0, 4, 5
HANDSHAKE_SECONDS_MAX = 5.0
SMALL_BYTES_MAX = 64 << 10  # of a frame of whoever; larger ones have to be permitted
UNREAD_BYTES_MAX = 256 << 10  # of answers to a stranger
BUFFERED_BYTES_MAX = 16 << 20
_HEAD = struct.Struct(">IB")


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
    """One side of a connection. `on_open` is called when the handshake is done, `on_refused` when a side ended it.

    `address` is what this side dialled, empty if the other side did. `handshake` makes its handshake.
    """

    def __init__(
        self,
        handshake: Callable[[Connection], Handshake],
        *,
        address: str,
        on_open: Callable[[Connection, Hello], None],
        on_refused: Callable[[Connection, str], None],
        on_raft: Callable[[Connection, bytes], None],
        on_request: Callable[[Connection, bytes, str, bytes], None],
        on_lost: Callable[[Connection], None],
        large_frames: Callable[[Connection], bool] = lambda _connection: True,
        handshake_seconds: float = HANDSHAKE_SECONDS_MAX,
    ) -> None:
        self.address, self.dialled = address, bool(address)
        self.on_open, self.on_raft, self.on_request, self.on_lost = on_open, on_raft, on_request, on_lost
        self._on_refused, self._make_handshake = on_refused, handshake
        self.handshake: Handshake | None = None  # once there is a connection
        self._large_frames, self._handshake_seconds = large_frames, handshake_seconds
        self.hello: Hello | None = None  # of the other side, once the handshake is done
        self.heard_at = 0.0  # when the last whole frame came, by the loop's clock
        self.transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()
        self.counters = Counters()
        self._buffer = bytearray()
        self._answers: dict[bytes, asyncio.Future[bytes]] = {}
        self._hello_timer: asyncio.TimerHandle | None = None

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake; it has to end soon."""
        self.transport = stream = cast(asyncio.Transport, transport)  # uvloop has a family of its own
        stream.set_write_buffer_limits(high=BUFFERED_BYTES_MAX)
        self._hello_timer = asyncio.get_running_loop().call_later(self._handshake_seconds, self.close)
        self.handshake = self._make_handshake(self)
        for kind, body in self.handshake.begin():
            self._send(kind, body)

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
        except (BadMessage, msgspec.MsgspecError, UnicodeDecodeError):
            self.close()
            return
        except PeerRefused as error:
            self._refused(str(error))
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
        if length > (MESSAGE_BYTES_MAX if self.hello else HANDSHAKE_FRAME_BYTES_MAX):
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
            self._shake(kind, body)
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

    def _shake(self, kind: int, body: bytes) -> None:
        handshake = self.handshake
        assert handshake is not None, "made with the connection"
        for answer_kind, answer in handshake.receive(kind, body):
            self._send(answer_kind, answer)
        if handshake.step is Step.DONE:
            assert handshake.hello is not None
            self.hello = handshake.hello
            if self._hello_timer is not None:
                self._hello_timer.cancel()
            self.on_open(self, self.hello)

    def _refused(self, reason: str) -> None:
        """End the handshake, and tell the other side why if it understands that."""
        self._on_refused(self, reason)
        if self.transport is not None:
            if self.handshake is not None and self.handshake.knows_refusals:
                self._send(REFUSED, reason.encode())
            self.transport.close()

    @property
    def greeting(self) -> Hello | None:
        """The hello of the other side, accepted or not; None if it has sent none."""
        return self.handshake.hello if self.handshake is not None else None

    @property
    def key(self) -> bytes | None:
        """The key by which the other side proved itself; None if it did not."""
        return self.handshake.key if self.handshake is not None else None

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
        """Whether the handshake is done and the connection stands."""
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
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = future
        self._send(REQUEST, msgspec.msgpack.encode((request_id, method, payload)))
        try:
            async with asyncio.timeout(timeout):
                return await future
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
