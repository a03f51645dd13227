"""Servers on pysyncobj in one loop, each with its library on a port of its own; they ask each other without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack

from yurt.server.raft.engines.pysyncobj.engine import PySyncObj
from yurt.server.raft.engines.pysyncobj.replica import Settings
from yurt.server.raft.errors import NotLeader, NotSent, OutcomeUnknown
from yurt.server.raft.peer import Peer, Servers
from yurt.testing import free_ports

SECONDS_MAX = 30.0
ATTEMPTS_MAX = 5
Answer = tuple[Any, Exception | None]
Ask = Callable[[Callable[[Any, Exception | None], None]], None]


class Commands:
    """A state machine that keeps its commands."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []

    def apply(self, payload: bytes) -> int:
        """Keep it."""
        self.applied.append(payload)
        return len(self.applied)

    def capture(self) -> list[bytes]:
        """All of them."""
        return list(self.applied)

    def digest(self, _place: bytes) -> tuple[bytes, bytes]:
        """Not asked for."""
        raise NotImplementedError

    def write(self, capture: list[bytes]) -> Iterator[bytes]:
        """In one piece."""
        yield msgpack.packb(capture)

    def load(self, chunks: Iterator[bytes], *, in_pieces: bool = True) -> list[bytes]:
        """The commands of a snapshot."""
        found: list[bytes] = msgpack.unpackb(next(chunks))
        return found

    def swap(self, loaded: list[bytes]) -> None:
        """Replace them."""
        self.applied = loaded

    def swap_above(self, loaded: list[bytes]) -> None:
        """Not asked for."""
        raise NotImplementedError


class Together:
    """The servers of a test. `failures` are what their engines could not go on from."""

    def __init__(self, directory: Path, *names: str, founders: int | None = None) -> None:
        self.directory, self.names = directory, names
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.bootstrap: Servers = [[name, f"h:{n}", name] for n, name in enumerate(names[:founders], 1)]
        self.engines: dict[str, PySyncObj] = {}
        self.machines: dict[str, Commands] = {}
        self.failures: list[tuple[str, BaseException]] = []
        self.failed = asyncio.Event()
        self._ready = asyncio.Event()
        self._looked = asyncio.Event()

    async def __aenter__(self) -> Together:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for name in list(self.engines):
            self.stop(name)
        await asyncio.sleep(0)

    def address(self, name: str) -> str:
        """Where a server's library listens."""
        return f"127.0.0.1:{self.ports[name]}"

    def make(self, name: str, **settings: Any) -> PySyncObj:
        """A server that is not started."""
        own = Peer(name, f"h:{self.names.index(name) + 1}", name)
        given = {"listen": self.address(name), "address": self.address(name), "multiplier": 0.5, **settings}
        machine = self.machines[name] = Commands()
        engine = self.engines[name] = PySyncObj(
            own, settings=Settings(self.directory / name, **given), cluster=b"c", machine=machine, ask=self.ask,
            fatal=lambda error: self._fatal(name, error),
        )  # fmt: skip
        engine.on_leadership(lambda _leads: self._ready.set())
        engine.on_configuration(lambda _servers: self._looked.set())
        return engine

    def start(self, name: str, **settings: Any) -> PySyncObj:
        """Start a server, also again."""
        engine = self.make(name, **settings)
        engine.start(self.bootstrap)
        return engine

    def stop(self, name: str) -> None:
        """Stop a server."""
        self.engines.pop(name).stop()

    def _fatal(self, name: str, error: BaseException) -> None:
        self.failures.append((name, error))
        self.failed.set()
        if name in self.engines:
            self.engines[name].stop()

    async def ask(self, server_id: str) -> bytes:
        """What a server answers; `NotSent` if it does not run."""
        if server_id not in self.engines:
            raise NotSent(f"no connection to server {server_id}")
        return await self.engines[server_id].known(b"")

    async def leader(self) -> PySyncObj:
        """Who leads and is ready."""
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := [one for one in self.engines.values() if one.is_ready]):
                self._ready.clear()
                await self._ready.wait()
        return found[0]

    async def change(self, asked: Callable[[PySyncObj], Ask]) -> None:
        """Change who is a member; again while a leadership ends meanwhile and nobody knows what became of it."""
        answer: Answer = (None, OutcomeUnknown())
        for _ in range(ATTEMPTS_MAX):
            if not isinstance(answer[1], OutcomeUnknown | NotLeader):
                break
            answer = await answer_of(asked(await self.leader()))
        assert answer == (0, None)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of who is a member."""
        async with asyncio.timeout(SECONDS_MAX):
            while not holds():
                self._looked.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._looked.wait(), 0.05)


async def answer_of(asked: Ask) -> Answer:
    """What a call with a callback is answered."""
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    asked(lambda result, error: future.set_result((result, error)))
    return await asyncio.wait_for(future, SECONDS_MAX)


def run(life: Awaitable[None]) -> None:
    """Run a test's coroutine."""

    async def all_of_it() -> None:
        await life

    asyncio.run(all_of_it())
