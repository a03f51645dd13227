"""Long passes over the state in slices: the event loop never stands still (design: The loop).

A pass is a generator that gives way wherever a step ends. In each round of the loop one pass runs for a few
milliseconds; the others wait for their turn. So a round is as long as one slice, however many passes there are, and
whatever else is ready (heartbeats, short reads, writes) is served in between. Clients take turns, and the passes of one
client among themselves, first come, first served; what the server does for itself has every second turn.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from yurt.fsm.store.view import View

T = TypeVar("T")
Steps = Generator[Any, None, T]

SLICE_SECONDS = 0.002
STEPS_A_LOOK = 8  # between two looks at the clock
STEPS_AT_ONCE = 128  # of a pass that has not waited for a turn: a page costs no turn
OWN = ""  # the client that the server itself is


class Turns:
    """Gives turns to passes; `clock` gives seconds."""

    __slots__ = ("_clock", "_is_granting", "_waiting", "_was_own")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by client; the first one is served next
        self._is_granting = self._was_own = False

    async def next(self, client: str = OWN) -> None:
        """Wait for a client's next turn; it ends as soon as the caller waits for something else."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        if not self._is_granting:
            self._is_granting = True
            loop.call_soon(self._grant, loop)
        await turn

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give one turn; the next in the next round of the loop."""
        while self._waiting:
            turn = self._take_first()
            if not turn.done():
                turn.set_result(None)
                break
        self._is_granting = bool(self._waiting)
        if self._is_granting:
            loop.call_soon(self._grant, loop)

    def _take_first(self) -> asyncio.Future[None]:
        """Take out who is served next, and put its client behind the others."""
        clients = iter(self._waiting)
        client = next(clients)
        if self._was_own and client == OWN:
            client = next(clients, OWN)
        elif not self._was_own and OWN in self._waiting:
            client = OWN
        turns = self._waiting.pop(client)
        turn = turns.popleft()
        if turns:
            self._waiting[client] = turns
        if not turn.done():
            self._was_own = client == OWN
        return turn

    async def run(self, steps: Steps[T], client: str = OWN) -> T:
        """Run a client's pass to its end, one slice a turn."""
        ended: list[T] = []
        while not ended:
            await self.next(client)
            self._slice(steps, ended)
        return ended[0]

    async def over(self, view: View, steps: Steps[T], client: str = OWN) -> T:
        """Run a client's pass over a view that was taken in this round of the loop."""
        ended = self.begin(steps)
        if ended is not None:
            return ended[0]
        view.pin()
        try:
            return await self.run(steps, client)
        finally:
            view.unpin()

    def begin(self, steps: Steps[T]) -> tuple[T] | None:
        """Run the first steps of a pass at once: its result in a tuple, None if it must be continued by `run`."""
        ended: list[T] = []
        self._slice(steps, ended, STEPS_AT_ONCE)
        return (ended[0],) if ended else None

    def _slice(self, steps: Steps[T], ended: list[T], steps_max: int = 0) -> None:
        """Run for one slice; the result is in `ended` if the pass is at its end."""
        until = self._clock() + SLICE_SECONDS
        count = 0
        try:
            while True:
                next(steps)
                count += 1
                if not count % STEPS_A_LOOK and (count == steps_max or self._clock() >= until):
                    return
        except StopIteration as end:
            ended.append(end.value)
