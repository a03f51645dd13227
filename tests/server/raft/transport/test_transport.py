"""Who is who on the peer port: proofs that nobody else takes back, frames of strangers, requests that fail."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from tests.server.raft.transport.test_connection import hello, until
from yurt.server.http.asgi.serve import bind
from yurt.server.raft.errors import OutcomeUnknown
from yurt.server.raft.transport import connection as frames
from yurt.server.raft.transport.callers import RAFT, Caller
from yurt.server.raft.transport.handshake import HELLO, Hello, key_of
from yurt.server.raft.transport.transport import PeerTransport
from yurt.server.raft.transport.trust import Trust

KEY, OTHER = key_of("a secret of the cluster"), key_of("another secret")
METHODS = {RAFT: frozenset(Caller), "secrets": frozenset({Caller.MEMBER}), "broken": frozenset(Caller)}
LARGE = frames.SMALL_BYTES_MAX + 1
_HEAD = struct.Struct(">IB")


class Site:
    """A server's transport on a port that stays the same when the server starts anew."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name, self._sock = name, bind("127.0.0.1", port)
        self.port: int = self._sock.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.greetings = 0

    def start(self, keys: tuple[bytes, ...] = (), members: tuple[str, ...] = ("a", "b")) -> PeerTransport:
        """Listen; `keys` are accepted and not required."""

        def own_hello() -> Hello:
            self.greetings += 1
            return hello(self.name, address=self.address)

        made = PeerTransport(own_hello, chance=random.Random(1), methods=METHODS, trust=Trust(keys))
        made.members_of = lambda: frozenset(members)
        made.listen(self._sock)
        return made


class Raw:
    """The other side of a connection, which says what it wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def say(self, kind: int, body: bytes, *, announced: int = 0) -> None:
        """Send a frame; `announced` replaces its length."""
        self._writer.write(_HEAD.pack(announced or len(body), kind) + body)

    async def hear(self) -> tuple[int, bytes]:
        """Return the next frame."""
        length, kind = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        return kind, await self._reader.readexactly(length)

    async def ends(self) -> bool:
        """Wait until the other side ends the connection."""
        with suppress(ConnectionError):
            async with asyncio.timeout(5):
                while await self._reader.read(1 << 16):
                    pass
        return True

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


@asynccontextmanager
async def stranger(site: Site, server_id: str, **fields: object) -> AsyncIterator[Raw]:
    """A program that calls itself by an ID and proves nothing; it has said hello."""
    raw = Raw(*await asyncio.open_connection("127.0.0.1", site.port))
    raw.say(HELLO, msgspec.msgpack.encode(hello(server_id, **fields)))
    try:
        yield raw
    finally:
        raw.close()


@asynccontextmanager
async def pair(keys: tuple[bytes, ...] = (KEY,)) -> AsyncIterator[tuple[Site, PeerTransport, PeerTransport]]:
    """a's site, a and b: members that have dialled each other."""
    sites = Site("a"), Site("b")
    first, second = (site.start(keys) for site in sites)
    first.address_of = second.address_of = {site.name: site.address for site in sites}.get
    first.dial(sites[1].address)
    second.dial(sites[0].address)
    try:
        assert await until(lambda: first.is_connected("b") and second.is_connected("a"))
        yield sites[0], first, second
    finally:
        await first.close()
        await second.close()


def test_a_stranger_with_a_members_id_takes_no_proof_back() -> None:
    async def run() -> None:
        async with pair() as (site, first, _):
            address = first.hellos["b"].address
            said: list[bytes] = []
            first.on_raft = lambda _server_id, data: said.append(data)
            async with stranger(site, "b", address="127.0.0.1:1") as thief:
                thief.say(frames.RAFT, b"forged")
                thief.say(frames.REQUEST, msgspec.msgpack.encode((b"1", "secrets", b"")))
                assert await thief.ends()
            assert not said
            assert first.trust.has_proof_of("b") and first.trust.may_be_required("a", ("a", "b"))
            assert first.hellos["b"].address == address

    asyncio.run(run())


def test_a_stranger_that_came_first_goes_when_the_member_proves_itself() -> None:
    async def run() -> None:
        site, other = Site("a"), Site("b")
        first = site.start((KEY,))
        async with stranger(site, "b") as thief:
            assert await until(lambda: "b" in first.hellos)
            second = other.start((KEY,))
            second.dial(site.address)
            assert await thief.ends()
            assert await until(lambda: first.trust.has_proof_of("b"))
            await second.close()
        await first.close()

    asyncio.run(run())


def test_a_server_that_is_dialled_back_takes_no_proof_of_another_back() -> None:
    """The proved server is down, and a program with its ID listens elsewhere and has been dialled."""

    async def run() -> None:
        site, false = Site("a"), Site("b")
        first = site.start((KEY,))
        first.trust.noted("b", KEY)
        impostor = false.start()
        async with stranger(site, "c", address=false.address):  # so that its address is dialled back
            assert await until(lambda: "c" in first.hellos)
            first.dial_back(false.address)
            assert await until(lambda: false.greetings > 1), "it was dialled"
            assert not await until(lambda: first.is_connected("b"), 0.3)
        assert first.trust.has_proof_of("b")
        await impostor.close()
        await first.close()

    asyncio.run(run())


@pytest.mark.parametrize("configured", ["127.0.0.1:1", None], ids=["elsewhere", "no member"])
def test_who_answers_at_a_sought_address_takes_no_proof_of_a_member_that_lives_elsewhere_back(
    configured: str | None,
) -> None:
    """A name to join by that is stale, and the address of another member that is down."""

    async def run() -> None:
        site, false = Site("a"), Site("b")
        first, impostor = site.start((KEY,)), false.start()
        if configured is not None:
            first.address_of = {"b": configured, "c": false.address}.get
        first.trust.noted("b", KEY)
        first.dial(false.address)
        assert await until(lambda: false.greetings > 2), "it was dialled, and again"
        assert not first.is_connected("b") and "b" not in first.hellos
        assert first.trust.may_be_required("a", ("a", "b"))
        await impostor.close()
        await first.close()

    asyncio.run(run())


@pytest.mark.parametrize("keys", [(), (OTHER,)], ids=["the version before", "another secret"])
def test_a_member_that_goes_back_is_heard_once_its_own_address_takes_the_proof_back(keys: tuple[bytes, ...]) -> None:
    async def run() -> None:
        async with pair() as (_, first, second):
            if keys:
                second.trust.replace(keys)
                second.trust_again()
            else:
                second.trust.replace(())
                second.reconnect()
            assert await until(lambda: not first.trust.has_proof_of("b"))
            said: list[bytes] = []
            first.on_raft = lambda _server_id, data: said.append(data)

            def is_heard() -> bool:
                second.send_raft("a", b"heartbeat")
                return bool(said)

            assert await until(is_heard)

    asyncio.run(run())


def test_an_accepted_greeting_does_not_replace_that_of_a_server_that_was_dialled() -> None:
    """Without any secret: what a stranger says of a member does not count while the member itself is there."""

    async def run() -> None:
        async with pair(keys=()) as (site, first, _):
            address = first.hellos["b"].address
            async with stranger(site, "b", address="127.0.0.1:1") as thief:
                await thief.hear()
            assert first.hellos["b"].address == address

    asyncio.run(run())


def test_a_message_makes_no_greeting() -> None:
    async def run() -> None:
        async with pair() as (site, first, second):
            said: list[bytes] = []
            first.on_raft = lambda _server_id, data: said.append(data)
            before = site.greetings
            for _ in range(50):
                second.send_raft("a", b"heartbeat")
            assert await until(lambda: len(said) == 50)
            assert site.greetings == before

    asyncio.run(run())


def test_large_frames_of_members_leave_strangers_theirs() -> None:
    async def run() -> None:
        async with pair(keys=()) as (site, first, _):
            said: list[str] = []
            first.on_raft = lambda server_id, _data: said.append(server_id)
            large, half = bytes(LARGE), bytes(LARGE + 1)
            async with stranger(site, "b") as member, stranger(site, "x") as one, stranger(site, "y") as other:
                for raw in (member, one, other):
                    await raw.hear()
                member.say(frames.RAFT, half, announced=2 * LARGE)
                assert await until(lambda: holds_large(first, "b"))
                one.say(frames.RAFT, large)
                assert await until(lambda: said == ["x"]), "a member's frame is not a stranger's"
                one.say(frames.RAFT, half, announced=2 * LARGE)
                assert await until(lambda: holds_large(first, "x"))
                other.say(frames.RAFT, large)
                assert await other.ends(), "one at a time of all strangers"
                member.say(frames.RAFT, b"")
                assert said == ["x"]

    asyncio.run(run())


def holds_large(transport: PeerTransport, server_id: str) -> bool:
    """Whether a large frame of a server waits for its end."""
    return any(
        other.holds_large_frame for other in transport._open if other.hello is not None and other.hello.server_id == server_id
    )  # fmt: skip


@pytest.mark.parametrize("error", [ValueError("no number"), OSError("full"), OutcomeUnknown()], ids=repr)
def test_a_request_whose_handler_fails_is_not_waited_for(error: Exception) -> None:
    async def run() -> None:
        async with pair() as (_, first, second):

            async def broken(_payload: bytes) -> bytes:
                raise error

            first.serve("broken", broken)
            with pytest.raises(OutcomeUnknown):
                async with asyncio.timeout(5):
                    await second.call("a", "broken", b"", timeout=60)
            assert await until(lambda: second.is_connected("a")), "and the servers are connected again"

    asyncio.run(run())


@pytest.mark.parametrize("address", ["127.0.0.1:70000", f"127.0.0.1:{'9' * 5000}", "127.0.0.1", ":", "no such host:1"])
def test_an_address_that_cannot_be_dialled_breaks_nothing(address: str) -> None:
    async def run() -> None:
        site = Site("a")
        first = site.start()
        failures: list[str] = []
        count: Callable[..., None] = lambda kind, *_rest: failures.append(kind)  # noqa: E731
        first._supervisor.failed = count  # type: ignore[method-assign]
        first.dial(address)
        await asyncio.sleep(0)
        assert await until(lambda: not first._open), "the attempt has ended"
        assert not failures
        await first.close()

    asyncio.run(run())
