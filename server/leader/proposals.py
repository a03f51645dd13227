"""Commands that the leader's duties propose: in the background, each at most once at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from yurt.fsm.commands import Command
from yurt.server.host import Host

log = logging.getLogger("leader")


class Proposals:
    """Proposals of one duty."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    def propose(self, command: Command, done: Callable[[Any], None] | None = None) -> None:
        """Propose; then call `done` with the result, or with None if it was refused or not committed."""
        task = self._server.supervisor.spawn("proposals", self._propose(command, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _propose(self, command: Command, done: Callable[[Any], None] | None) -> None:
        result = None
        try:
            result = await self._server.propose(command)
        except Exception as error:  # noqa: BLE001 (whatever it is: the duty must not wait for ever)
            self._server.supervisor.noted("proposals", error)
        if done is not None:
            done(result)

    def stop(self) -> None:
        """Forget what is on its way."""
        for task in self._tasks:
            task.cancel()
