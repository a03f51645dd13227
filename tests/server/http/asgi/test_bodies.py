"""Long bodies on a connection, with and without TLS, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop

from tests.process.tls_files import Files
from yurt.server.config.agent import Limits
from yurt.server.http.asgi.bodies import CHUNK_BYTES, UNSENT_BYTES_MAX, UNSENT_BYTES_MAX_PER_CLIENT, Bodies
from yurt.server.http.asgi.serve import HttpServer, bind
from yurt.server.platform.turns import Turns
from yurt.server.tls.certificates import SERVER

BODY = bytes(range(256)) * (8 * CHUNK_BYTES // 256)
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Sending:
    """Answers every request with a long body; at /high it looks at the limit of the write buffer before it."""

    def __init__(self) -> None:
        self._bodies = Bodies(Turns())
        self.high = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.high = receive.__self__.transport.get_write_buffer_limits()[1] if scope["path"] == "/high" else 0
        await self._bodies.send(scope, receive, send, status=200, headers=[], body=BODY)

    def end_waiting(self) -> None:
        pass


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@contextlib.asynccontextmanager
async def connected(
    files: Files | None, limits: Limits | None = None
) -> AsyncIterator[tuple[Sending, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server, over TLS with `files`."""
    listening, app = bind("127.0.0.1", 0), Sending()
    tls = trust = None
    if files is not None:
        tls, trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), files.context(None)
        tls.load_cert_chain(*files.write("server", SERVER))
    server = HttpServer(app, [listening], limits=limits or Limits(), tls=tls)
    server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1], ssl=trust)
    try:
        yield app, reader, writer
    finally:
        writer.close()
        await server.stop()


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str = "GET", path: str = "/"
) -> bytes:
    """The body that comes."""
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(BODY) in head.lower()
    return b"" if method == "HEAD" else await reader.readexactly(len(BODY))


def run(loop: str, main: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(bounded())


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_long_body_comes_whole_and_the_connection_goes_on(files: Files, loop: str, is_secure: bool) -> None:
    async def main() -> None:
        async with connected(files if is_secure else None) as (_, reader, writer):
            for method in ("GET", "HEAD", "GET"):
                assert await answer(reader, writer, method) == (b"" if method == "HEAD" else BODY)

    run(loop, main)


class Huge:
    """A body that comes in one piece, larger than all clients together may have unsent."""

    size = UNSENT_BYTES_MAX + 1

    async def chunks(self, _turns: Turns, _client: str) -> AsyncIterator[bytes | memoryview]:
        yield bytes(self.size)

    def pretty(self) -> Huge:
        return self


def test_a_piece_larger_than_all_that_may_be_unsent_is_sent_in_slices() -> None:
    sent: list[int] = []

    async def send(message: Any) -> None:
        sent.append(len(message.get("body", b"")))

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def main() -> None:
        async with asyncio.timeout(20):
            scope = {"method": "GET", "http_version": "1.1", "client": ("10.0.0.1", 1)}
            await Bodies(Turns()).send(scope, receive, send, status=200, headers=[], body=Huge())

    asyncio.run(main())
    assert sum(sent) == Huge.size and max(sent) <= CHUNK_BYTES


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_short_answers_are_buffered_as_before_after_a_long_one(method: str) -> None:
    async def main() -> None:
        async with connected(None) as (app, reader, writer):
            await answer(reader, writer, method)
            await answer(reader, writer, path="/high")
            assert app.high == 64 << 10

    run("asyncio", main)


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0)


def test_who_leaves_waits_for_no_room_any_more() -> None:
    async def main() -> None:
        async with connected(None) as (app, _, writer):
            unsent = app._bodies._unsent
            assert unsent.take_now(UNSENT_BYTES_MAX_PER_CLIENT, "127.0.0.1")
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: unsent.waiting == 1)
            writer.close()
            await until(lambda: unsent.waiting == 0)
            assert unsent.taken == UNSENT_BYTES_MAX_PER_CLIENT

    run("asyncio", main)


def test_who_gets_no_room_for_the_next_chunk_is_broken_off() -> None:
    async def main() -> None:
        async with connected(None, Limits(http_write_timeout="50ms")) as (app, reader, writer):
            unsent = app._bodies._unsent
            assert unsent.take_now(UNSENT_BYTES_MAX_PER_CLIENT, "127.0.0.1")
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.read() == b"", "nothing of the body, and no more"
            assert unsent.waiting == 0 and unsent.taken == UNSENT_BYTES_MAX_PER_CLIENT

    run("asyncio", main)
