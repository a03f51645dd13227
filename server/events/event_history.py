"""The backfill of the event ring from peers, after this server's state came from a snapshot.

A server that took a leader's snapshot, or that finds no file of its newest events, begins its ring with that state; the
others may hold what led to it. They are asked for it in pages, the newest first, the leader before the others: each
page ends exactly where what is held begins, so what is held never has a gap.

    question = msgpack [upto, room]: what was told up to that index, of at most `room` bytes
    answer = as in the file of the newest events (`event_file.pack`), `told` being `upto`

A server that is not as far as `upto` does not answer; one that holds nothing of it says that all is gone. A server that
does not know the question yet is asked in vain. All failures cost old events, nothing else.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from yurt.fsm.errors import YurtError
from yurt.server.events.event_file import BYTES_MAX, pack, unpack
from yurt.server.host import Host
from yurt.server.platform.supervision import Supervised
from yurt.server.raft.errors import NotSent

log = logging.getLogger("events")

METHOD = "events"
PAGE_BYTES = 1 << 20
ANSWER_SECONDS = 5.0
RETRY_SECONDS = 0.5
LOOK_SECONDS_MAX = 15.0  # after that it is given up if nobody answers
WAIT_SECONDS_MAX = 5.0  # of a request for what may come back

_question: msgspec.msgpack.Decoder[tuple[int, int]] = msgspec.msgpack.Decoder(tuple[int, int])


class EventHistory:
    """Fills the ring of one server from the rings of others, and lets others fill theirs from this one."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._task: Supervised | None = None
        self._room = 0  # bytes that may still be taken
        self._runs = False

    def start(self) -> None:
        """Answer others; look for what the start left out."""
        self._runs = True
        self._server.transport.serve(METHOD, self._give)
        self.look()

    def look(self) -> None:
        """Ask the others for what happened before the oldest event held, in the background."""
        self.leave()
        if self._runs and not self._server.events.is_whole:
            self._task = self._server.supervisor.start("event history", self._look)

    def leave(self) -> None:
        """Stop asking for older events."""
        if self._task is not None:
            self._task.stop()
            self._task = None

    def stop(self) -> None:
        """Do nothing more."""
        self._runs = False
        self.leave()

    async def settled(self) -> bool:
        """Wait until it is known what comes back, but not for long; whether it is known."""
        if self._task is not None:
            await asyncio.wait((self._task.task,), timeout=WAIT_SECONDS_MAX)
        return self._runs and (self._task is None or self._task.is_done)

    # --- asking

    async def _look(self) -> None:
        server, loop = self._server, asyncio.get_running_loop()
        began, deadline = server.events.gone, loop.time() + LOOK_SECONDS_MAX
        self._room = BYTES_MAX
        answered = 0
        while not answered and loop.time() < deadline and self._others():
            await server.leader_known(RETRY_SECONDS)
            for other in self._others():
                answered += await self._ask(other)
            if not answered:
                await asyncio.sleep(RETRY_SECONDS)
        found = {"before": began, "held_after": server.events.gone}
        if server.events.gone < began:
            log.info("events of before this server's state came from other servers", extra=found)
            server.save_events()
        elif not answered and self._others():
            log.warning("no server told what happened before: older events are not held here", extra=found)

    def _others(self) -> list[str]:
        """The other servers, the leader first."""
        engine = self._server.engine
        listed = sorted(engine.servers(), key=lambda one: not one["leader"])
        return [one["id"] for one in listed if one["id"] != engine.own.id]

    async def _ask(self, server_id: str) -> bool:
        """Take back what another server holds, page after page: whether it told all of it."""
        ring = self._server.events
        while not ring.is_whole and self._room > 0:
            upto = ring.gone
            question = msgspec.msgpack.encode((upto, self._room))
            try:
                answer = await self._server.transport.call(server_id, METHOD, question, timeout=ANSWER_SECONDS)
                entries, gone, told = await asyncio.to_thread(unpack, answer)
            except (YurtError, msgspec.MsgspecError) as error:
                log.debug("a server told no older events", extra={"server": server_id, "reason": str(error)})
                return False
            self._room -= sum(len(event.body) for one in entries for event in one.events)
            if self._room < 0 or told != upto:
                log.warning("a server's older events are not what was asked for", extra={"server": server_id})
                return False
            if not ring.refill(entries, gone, upto):
                break  # there is nothing more, or the ring moved on
        return True

    # --- answering

    async def _give(self, payload: bytes) -> bytes:
        """A page of what this server holds; raises NotSent if it cannot know all of it."""
        try:
            upto, room = _question.decode(payload)
        except msgspec.MsgspecError as error:
            raise NotSent(str(error)) from None
        if self._server.machine.index < upto:
            raise NotSent("this server is not that far")
        ring = self._server.events
        held, gone = [one for one in ring.held() if one.index <= upto], min(ring.gone, upto)
        return await asyncio.to_thread(pack, held, gone, upto, enough=PAGE_BYTES, most=min(room, BYTES_MAX))
