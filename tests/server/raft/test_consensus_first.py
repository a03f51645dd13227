"""Consensus messages are served where they are read: no task, no queue, no further turn of the loop (docs/raft.md)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from tests.server.raft.transport.test_connection import hello, until
from yurt.server.http.asgi.serve import bind
from yurt.server.raft.core import messages
from yurt.server.raft.transport.callers import RAFT, Caller
from yurt.server.raft.transport.transport import PeerTransport

METHODS = {RAFT: frozenset(Caller)}
HEARTBEATS = 30
READY = 200  # callbacks that are ready in every turn, as requests are on a busy server


@asynccontextmanager
async def connected_pair() -> AsyncIterator[tuple[PeerTransport, PeerTransport]]:
    """Two transports that have dialled each other."""
    transports = []
    for number, name in enumerate(("a", "b")):
        own = hello(name)
        transports.append(PeerTransport(lambda own=own: own, chance=random.Random(number), methods=METHODS))  # type: ignore[misc]
    ports = []
    for transport in transports:
        sock = bind("127.0.0.1", 0)
        ports.append(sock.getsockname()[1])
        transport.listen(sock)
    first, second = transports
    first.dial(f"127.0.0.1:{ports[1]}")
    second.dial(f"127.0.0.1:{ports[0]}")
    try:
        assert await until(lambda: first.is_connected("b") and second.is_connected("a"))
        yield first, second
    finally:
        for transport in transports:
            await transport.close()


class Turns:
    """Counts the turns of the running loop, and fills each with callbacks."""

    def __init__(self, ready: int) -> None:
        self.number, self._ready, self._loop = 0, ready, asyncio.get_running_loop()
        self._is_ended = False
        self._turn()

    def _turn(self) -> None:
        self.number += 1
        if not self._is_ended:
            for _ in range(self._ready):
                self._loop.call_soon(lambda: None)
            self._loop.call_soon(self._turn)

    def end(self) -> None:
        """Let the loop rest."""
        self._is_ended = True


@pytest.mark.parametrize("ready", [0, READY])
@pytest.mark.parametrize(
    ("loop", "turns_wanted"), [(asyncio.new_event_loop, 2), (uvloop.new_event_loop, 1)], ids=["asyncio", "uvloop"]
)
def test_a_heartbeat_is_answered_in_the_turn_that_reads_it(
    ready: int, loop: Callable[[], asyncio.AbstractEventLoop], turns_wanted: int
) -> None:
    async def run() -> None:
        async with connected_pair() as (leader, follower):
            heartbeat = messages.encode(messages.Heartbeat(b"", 1, 1))
            answer = messages.encode(messages.HeartbeatAnswer(b"", 1, 1))
            answered: list[int] = []
            follower.on_raft = lambda server, _data: follower.send_raft(server, answer)
            leader.on_raft = lambda _server, _data: answered.append(turns.number)
            turns = Turns(ready)
            try:
                took = []
                for number in range(HEARTBEATS):
                    sent = turns.number
                    leader.send_raft("b", heartbeat)
                    while len(answered) <= number:
                        await asyncio.sleep(0)
                    took.append(answered[number] - sent)
            finally:
                turns.end()
            assert sorted(took)[HEARTBEATS // 2] <= turns_wanted, took

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
