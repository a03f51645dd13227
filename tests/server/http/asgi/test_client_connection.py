"""Clients that go away while their query waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.server.http.bare_server import bare_server, write
from yurt.server.config.agent import Limits
from yurt.server.http.asgi.app import App
from yurt.server.http.asgi.serve import HttpServer, bind
from yurt.server.http.query.reads import Reads
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.server import Server

CLIENTS = 1000
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def served(work: Callable[[Server, Reads, int], Awaitable[None]]) -> None:
    """Serve a bare server's API meanwhile."""
    server, reads = bare_server(), Reads(waiters_max=CLIENTS, jitter=lambda: 0.0)
    listening = bind("127.0.0.1", 0)
    http = HttpServer(App(server, Dispatcher(server, reads)), [listening], limits=Limits(http_max_conns_per_client=0))
    http.start()
    try:
        async with asyncio.timeout(60):
            await work(server, reads, listening.getsockname()[1])
    finally:
        await http.stop()


async def asking(port: int, target: str, method: str = "GET") -> Client:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    return reader, writer


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_waiting_queries_end_with_their_clients(method: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: Server, reads: Reads, port: int) -> None:
        target = f"/v1/jobs/statuses?stale&index={server.machine.index}&wait=300s"
        clients = [await asking(port, target, method) for _ in range(CLIENTS)]
        await until(lambda: reads.waiting == CLIENTS)
        for _, writer in clients[1:]:
            writer.transport.abort()
        await until(lambda: reads.waiting == 1)
        write(server, "second")
        assert b" 200 " in await clients[0][0].readline()
        clients[0][1].close()

    asyncio.run(served(work))
    assert not caplog.records, "a client that goes away is no error"


def test_a_connection_goes_on_after_a_query_that_waited(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: Server, reads: Reads, port: int) -> None:
        reader, writer = await asking(port, f"/v1/job/first?stale&index={server.machine.index}&wait=300s")
        await until(lambda: reads.waiting == 1)
        write(server, "first")
        assert b" 200 " in await reader.readline()
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"content-length"))
        await reader.readexactly(length)
        writer.write(b"GET /v1/job/first?stale HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()

    asyncio.run(served(work))
    assert not caplog.records
