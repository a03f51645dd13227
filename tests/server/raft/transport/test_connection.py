"""Connections between servers: what is refused, what a request's end says."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from yurt.server.http.asgi.serve import bind
from yurt.server.raft.errors import NotSent, OutcomeUnknown
from yurt.server.raft.transport.callers import Caller
from yurt.server.raft.transport.handshake import Hello
from yurt.server.raft.transport.transport import PeerTransport

METHODS = dict.fromkeys(("echo", "refuse", "hang", "nothing"), frozenset(Caller))


@asynccontextmanager
async def two(first: Hello, second: Hello) -> AsyncIterator[tuple[PeerTransport, PeerTransport, int]]:
    """Two transports; the first dials the second."""
    one = PeerTransport(lambda: first, chance=random.Random(1), methods=METHODS)
    other = PeerTransport(lambda: second, chance=random.Random(2), methods=METHODS)
    sock = bind("127.0.0.1", 0)
    port: int = sock.getsockname()[1]
    other.listen(sock)
    one.dial(f"127.0.0.1:{port}")
    try:
        yield one, other, port
    finally:
        await one.close()
        await other.close()


async def until(predicate: object, seconds: float = 3.0) -> bool:
    for _ in range(int(seconds / 0.01)):
        if predicate():  # type: ignore[operator]
            return True
        await asyncio.sleep(0.01)
    return False


def hello(server_id: str, **fields: object) -> Hello:
    return Hello(server_id=server_id, region="global", **fields)  # type: ignore[arg-type]


def test_requests_are_answered() -> None:
    async def run() -> None:
        async with two(hello("a"), hello("b")) as (one, other, _):

            async def echo(payload: bytes) -> bytes:
                return payload[::-1]

            async def refuse(payload: bytes) -> bytes:
                raise NotSent("not me")

            async def hang(payload: bytes) -> bytes:
                await asyncio.sleep(60)
                return b""

            other.serve("echo", echo)
            other.serve("refuse", refuse)
            other.serve("hang", hang)
            assert await until(lambda: one.is_connected("b"))
            assert await one.call("b", "echo", b"abc", timeout=3) == b"cba"
            with pytest.raises(NotSent, match="not me"):
                await one.call("b", "refuse", b"", timeout=3)
            with pytest.raises(NotSent, match="unknown method"):
                await one.call("b", "nothing", b"", timeout=3)
            with pytest.raises(NotSent):
                await one.call("c", "echo", b"", timeout=3)
            with pytest.raises(OutcomeUnknown):
                await one.call("b", "hang", b"", timeout=0.05)
            waiting = asyncio.ensure_future(one.call("b", "hang", b"", timeout=30))
            await asyncio.sleep(0.05)
            other.reconnect()
            with pytest.raises(OutcomeUnknown):
                await waiting

    asyncio.run(run())


@pytest.mark.parametrize(
    "other",
    [hello("b", cluster=b"2" * 16), Hello(server_id="b", region="mars"), hello("a")],
    ids=["cluster", "region", "itself"],
)
def test_strangers_are_refused(other: Hello) -> None:
    async def run() -> None:
        async with two(hello("a", cluster=b"1" * 16), other) as (one, _, _):
            assert not await until(lambda: one.is_connected("b"), 0.3)

    asyncio.run(run())


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">IB", 1 << 31, 0), struct.pack(">IB", 4, 1) + b"abcd", struct.pack(">IB", 3, 0) + b"\xc1\xc1\xc1",
     struct.pack(">IB", 3, 0) + b"\x81\xa1\xff"],
    ids=["http", "too long", "no hello", "no msgpack", "no text"],
)  # fmt: skip
def test_garbage_ends_the_connection(data: bytes) -> None:
    async def run() -> None:
        async with two(hello("a"), hello("b")) as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 3) == b""
            writer.close()

    asyncio.run(run())
