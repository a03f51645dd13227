"""Passes of queries: equal ones share one, and what all of them and the lists they find may take is bounded.

A pass has room until it ends. A list that is too long to be whole then takes as much as it keeps until it was sent:
a client that reads slowly holds up its own next lists, and no pass of anybody else.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.store.view import View
from yurt.server.http.asgi.budget import Budget
from yurt.server.http.query.found import Found, LongBody
from yurt.server.platform.turns import Steps, Turns

PASSES_MAX = 32  # different ones at a time
PASSES_MAX_PER_CLIENT = 8
KEPT_BYTES_MAX = 256 << 20  # by the long lists that are being sent; a last one may go beyond
KEPT_BYTES_MAX_PER_CLIENT = 32 << 20
ROOM_SECONDS = 20.0
NO_ROOM = "too many long queries are at work, or their lists are still being read; retry later"


class Rooms:
    """Room for passes, and for the lists that they find."""

    def __init__(self) -> None:
        self._passes = Budget(PASSES_MAX, PASSES_MAX_PER_CLIENT)
        self._kept = Budget(KEPT_BYTES_MAX, KEPT_BYTES_MAX_PER_CLIENT)

    def take_now(self, client: str) -> bool:
        """Take the room of a pass if it is there."""
        if not self._kept.take_now(1, client):
            return False
        if self._passes.take_now(1, client):
            return True
        self._kept.give(1, client)
        return False

    async def take(self, client: str) -> None:
        """Wait for the room of a pass; raises Refusal(429) if that takes too long."""
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                await self._kept.take(1, client)
                try:
                    await self._passes.take(1, client)
                except BaseException:
                    self._kept.give(1, client)
                    raise
        except TimeoutError:
            raise Refusal(429, NO_ROOM) from None

    def give(self, client: str) -> None:
        """Give the room of a pass back."""
        self._passes.give(1, client)
        self._kept.give(1, client)

    def keep(self, rows: LongBody, client: str) -> None:
        """Give it back for what the list that was found keeps, as long as somebody reads it."""
        kept = rows.kept_bytes
        self._kept.grow(kept, client)
        self.give(client)
        weakref.finalize(rows, self._kept.give, kept, client).atexit = False


class Pass:
    """A pass that runs, and how many requests wait for it."""

    __slots__ = ("index", "task", "users")

    def __init__(self, index: int, task: asyncio.Task[Found]) -> None:
        self.index, self.task, self.users = index, task, 0

    async def result(self) -> Found:
        """Return the pass's result; the pass is cancelled when no request waits for it any more."""
        self.users += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self.users -= 1
            if not self.users:
                self.task.cancel()


class Passes:
    """The passes of one server's queries, by the query's key."""

    def __init__(self) -> None:
        self.rooms = Rooms()
        self._running: dict[Any, Pass] = {}
        self._sent: dict[Any, tuple[int, Found, weakref.ref[LongBody]]] = {}  # long lists that are being sent

    def running(self, key: Any, index: int) -> Pass | None:
        """An equal query's pass over the same state."""
        found = self._running.get(key)
        return found if found is not None and found.index == index and found.users else None

    def found(self, key: Any, index: int) -> Found | None:
        """The list that an equal query found in the same state, as long as it is being sent."""
        if (sent := self._sent.get(key)) is not None and sent[0] == index and (rows := sent[2]()) is not None:
            return Found(b"", sent[1].index, sent[1].watch, next_token=sent[1].next_token, rows=rows)
        return None

    def start(self, turns: Turns, view: View, steps: Steps[Found], key: Any, client: str) -> Pass:
        """Go on with a pass over a view that was taken in this round of the loop; its room was taken."""
        view.pin()
        running = self._running[key] = Pass(view.index, asyncio.ensure_future(turns.run(steps, client)))

        def ended(task: asyncio.Task[Found]) -> None:
            """Tidy up; also after a pass that was given up before its first step."""
            steps.close()
            view.unpin()
            if self._running.get(key) is running:
                del self._running[key]
            rows = None if task.cancelled() or task.exception() is not None else task.result().rows
            if rows is None:
                self.rooms.give(client)
            else:
                self.rooms.keep(rows, client)
                self._share(key, view.index, task.result(), rows)

        running.task.add_done_callback(ended)
        return running

    def _share(self, key: Any, index: int, found: Found, rows: LongBody) -> None:
        """Let equal queries have a long list as long as it is being sent."""
        entry = (index, Found(b"", found.index, found.watch, next_token=found.next_token), weakref.ref(rows))
        self._sent[key] = entry

        def forget() -> None:
            if self._sent.get(key) is entry:
                del self._sent[key]

        weakref.finalize(rows, forget).atexit = False
