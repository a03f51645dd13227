"""Which of the connections to a server carries messages, and which addresses are dialled for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.server.raft.transport.test_connection import hello, until
from tests.server.raft.transport.test_transport import Raw, Site
from yurt.server.http.asgi.serve import bind
from yurt.server.raft.transport.handshake import HELLO
from yurt.server.raft.transport.transport import PeerTransport


class Doors:
    """b, which listens at two addresses, and a, which dials both in turn and counts what it hears of b's links."""

    def __init__(self, first: PeerTransport, second: PeerTransport, addresses: tuple[str, str]) -> None:
        self.first, self.second, self.addresses = first, second, addresses
        self.linked = 0  # how often a was told that b is connected
        self.heard: list[bytes] = []  # by b
        first.on_connected = self._connected
        second.on_raft = lambda _server_id, data: self.heard.append(data)

    def _connected(self, _server_id: str) -> None:
        self.linked += 1

    def open(self) -> list[str]:
        """The addresses of the connections that a has dialled, and that stand."""
        return sorted(one.address for one in self.first._open if one.is_open and one.dialled)

    async def dial_both(self) -> None:
        """Dial one after the other."""
        for number, address in enumerate(self.addresses):
            self.first.dial(address)
            assert await until(lambda number=number: len(self.open()) == number + 1)  # type: ignore[misc]

    def end(self, address: str) -> None:
        """End the connection to one of the addresses for good."""
        self.first.undial(address)
        next(one for one in self.first._open if one.address == address).close()

    @property
    def link(self) -> str:
        """The address of the connection that carries a's messages to b."""
        return self.first._dialled["b"].address


@asynccontextmanager
async def doors() -> AsyncIterator[Doors]:
    """Both servers, not connected yet."""
    sites, door = (Site("a"), Site("b")), bind("127.0.0.1", 0)
    first, second = (site.start() for site in sites)
    second.listen(door)
    try:
        yield Doors(first, second, (sites[1].address, f"127.0.0.1:{door.getsockname()[1]}"))
    finally:
        await first.close()
        await second.close()


@pytest.mark.parametrize("ends", [0, 1], ids=["the one dialled first ends", "the one dialled last ends"])
def test_a_member_stays_linked_as_long_as_one_connection_to_it_stands(ends: int) -> None:
    async def run() -> None:
        async with doors() as here:
            await here.dial_both()
            ended, stays = here.addresses[ends], here.addresses[1 - ends]
            here.end(ended)
            assert await until(lambda: here.open() == [stays])
            assert await until(lambda: here.first.is_connected("b"), 0.5)
            assert here.link == stays
            here.first.send_raft("b", b"heartbeat")
            assert await until(lambda: here.heard == [b"heartbeat"])

    asyncio.run(run())


def test_the_engine_probes_anew_when_another_connection_takes_over() -> None:
    async def run() -> None:
        async with doors() as here:
            await here.dial_both()
            before, link = here.linked, here.link
            here.end(link)
            assert await until(lambda: here.linked == before + 1)
            here.end(here.link)
            assert await until(lambda: not here.open())
            assert not here.first.is_connected("b") and here.linked == before + 1

    asyncio.run(run())


@pytest.mark.parametrize("configured", [0, 1], ids=["dialled first", "dialled last"])
def test_the_connection_to_the_configured_address_carries_the_messages(configured: int) -> None:
    async def run() -> None:
        async with doors() as here:
            here.first.address_of = {"b": here.addresses[configured]}.get
            await here.dial_both()
            assert here.link == here.addresses[configured]

    asyncio.run(run())


def test_a_connection_that_stands_is_not_replaced_by_one_to_an_address_outside_the_configuration() -> None:
    async def run() -> None:
        async with doors() as here:
            await here.dial_both()
            assert here.link == here.addresses[0] and here.linked == 1

    asyncio.run(run())


def test_a_members_address_is_dialled_on_after_someone_greeted_there_with_this_servers_id() -> None:
    async def run() -> None:
        refused = asyncio.Event()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            raw = Raw(reader, writer)
            await raw.hear()
            raw.say(HELLO, msgspec.msgpack.encode(hello("a")))
            assert await raw.ends()
            raw.close()
            refused.set()

        sock = bind("127.0.0.1", 0)
        port: int = sock.getsockname()[1]
        first = Site("a").start()
        async with await asyncio.start_server(greet, sock=sock):
            first.dial(f"127.0.0.1:{port}")
            assert await refused.wait()
        member = Site("b", port).start()
        assert await until(lambda: first.is_connected("b"))
        await member.close()
        await first.close()

    asyncio.run(run())
