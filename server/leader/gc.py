"""The leader collects what nobody needs any more, regularly and when told to (spec scheduling §20).

A collection is one pass over one view, in turns of the loop; each command that it finds is committed before the pass
goes on, so there are as many as are needed, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator

from yurt.fsm.commands import KEEPS_TAGGED_SINCE, CollectGarbage, Command
from yurt.fsm.errors import YurtError
from yurt.fsm.store.state import dissolve
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import replace
from yurt.scheduler.duties.gc import FORCED, Thresholds, collecting
from yurt.scheduler.duties.token_gc import collecting_tokens
from yurt.server.config.agent import nanoseconds
from yurt.server.host import Host
from yurt.server.platform.turns import Steps
from yurt.server.raft.errors import NotLeader

log = logging.getLogger("leader")


class Garbage:
    """The collector of a server while it leads."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self._collection: asyncio.Task[None] | None = None
        self._forced: asyncio.Task[None] | None = None
        self._asked: list[asyncio.Future[None]] = []  # by callers whose pass has not begun yet
        config = server.config.server
        self._thresholds = Thresholds(
            evaluation=nanoseconds(config.eval_gc_threshold),
            batch_evaluation=nanoseconds(config.batch_eval_gc_threshold),
            job=nanoseconds(config.job_gc_threshold),
            deployment=nanoseconds(config.deployment_gc_threshold),
            node=nanoseconds(config.node_gc_threshold),
        )
        self._token_threshold = nanoseconds(config.acl_token_gc_threshold)
        self._seconds = nanoseconds(config.job_gc_interval) / 1e9
        server.force_collection = self.force

    def start(self) -> None:
        """Collect after each interval from now on."""
        self._timer = self._server.supervisor.later("core gc", self._seconds, self._collect_regularly)

    def stop(self) -> None:
        """Collect no more."""
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._collection, self._forced):
            if task is not None:
                task.cancel()
        _answer(self._asked, NotLeader())
        self._asked.clear()

    async def force(self) -> None:
        """Collect whatever may go, however young, and wait until it is gone.

        Callers share a pass that begins after they asked. Raises NotLeader if this server does not lead until its end,
        and the error that broke it off.
        """
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        if self._forced is None or self._forced.done():
            self._forced = self._server.supervisor.spawn("core gc", self._collect_for_all())
        await asked

    async def _collect_for_all(self) -> None:
        """One pass after the other until nobody asks any more."""
        asked: list[asyncio.Future[None]] = []
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                error = await self._collect(FORCED, 0)
                _answer(asked, error)
        finally:
            late, self._asked = self._asked, []  # of callers who asked while this task was being cancelled
            _answer([*asked, *late], NotLeader())

    def _collect_regularly(self) -> None:
        self.start()
        if self._collection is None or self._collection.done():
            work = self._collect(self._thresholds, self._token_threshold)
            self._collection = self._server.supervisor.spawn("core gc", _unasked(work))

    async def _collect(self, thresholds: Thresholds, token_threshold: int) -> Exception | None:
        """Run one pass; return the error that ended it early, NotLeader if this server leads no more."""
        view = self._server.view()
        view.pin()
        try:
            return await self._passed(view, thresholds, token_threshold)
        finally:
            replaced = view.replaced_in(self._server.view())
            del view  # its rows are freed in turns, not all at once
            self._server.in_turns(lambda: dissolve(replaced))

    async def _passed(self, view: View, thresholds: Thresholds, token_threshold: int) -> Exception | None:
        server, now_ns, count = self._server, self._server.now_ns(), 0
        try:
            for commands in (
                collecting(view, now_ns, thresholds, server.view),
                collecting_tokens(view, now_ns, token_threshold),
            ):
                while (command := await server.turns.run(_next_of(commands))) is not None:
                    if not server.is_ready:
                        return NotLeader()
                    if isinstance(command, CollectGarbage) and command.jobs:
                        knows = server.version_known_by_all() >= KEEPS_TAGGED_SINCE
                        command = replace(command, keeps_tagged=knows)
                    await server.propose(command)
                    count += 1
        except YurtError as error:
            log.info("garbage collection ended early", extra={"commands": count, "reason": str(error)})
            return error
        except Exception as error:
            log.exception("garbage collection broke", extra={"commands": count})
            return error
        log.debug("garbage collected", extra={"commands": count})
        return None


async def _unasked(work: Coroutine[None, None, object]) -> None:
    """A pass that nobody waits for: its error is logged."""
    await work


def _answer(asked: list[asyncio.Future[None]], error: Exception | None) -> None:
    for answer in asked:
        if not answer.done():
            answer.set_exception(error) if error else answer.set_result(None)


def _next_of(commands: Iterator[Command | None]) -> Steps[Command | None]:
    """The next command of a pass, None at its end."""
    for command in commands:
        if command is not None:
            return command
        yield
    return None
