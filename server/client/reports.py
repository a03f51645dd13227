"""Reports of the allocations to the servers: the latest of each, urgent news at once (spec node-agent §4)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from yurt.fsm.commands_nodes import AllocUpdate
from yurt.fsm.errors import YurtError
from yurt.server.client.servers import Operations

log = logging.getLogger("client")

URGENT_SECONDS, LAZY_SECONDS, RETRY_SECONDS = 0.2, 1.0, 5.0
UPDATES_PER_REQUEST_MAX = 500

Source = Callable[[], AllocUpdate]


class Reports:
    """Pending news by allocation. Nothing is sent before `begin`."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._pending: dict[str, Source] = {}
        self._fresh: dict[str, None] = {}
        self._sending: dict[str, AllocUpdate] = {}
        self._told: dict[str, AllocUpdate] = {}
        self._news = asyncio.Event()
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """The servers' view is known: from now on news are sent."""
        self._begun.set()

    def add(self, alloc_id: str, source: Source) -> None:
        """Something changed; `source` is asked for the state when it is sent."""
        self._pending[alloc_id] = source
        self._fresh[alloc_id] = None
        self._news.set()

    def forget(self, alloc_id: str) -> None:
        """The allocation is gone."""
        for known in (self._pending, self._fresh, self._sending, self._told):
            known.pop(alloc_id, None)

    async def run(self) -> None:
        """Send, again and again."""
        loop = asyncio.get_running_loop()
        await self._begun.wait()
        sent = loop.time() - LAZY_SECONDS
        while True:
            await self._news.wait()
            urgent = self._is_urgent()
            while not urgent and (rest := sent + LAZY_SECONDS - loop.time()) > 0:
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(rest):
                        await self._news.wait()
                urgent = self._is_urgent()
            await asyncio.sleep(max(0.0, sent + URGENT_SECONDS - loop.time()))
            self._news.clear()
            sent = loop.time()
            await self._send()

    def _is_urgent(self) -> bool:
        """Whether a client status changed among the news that were not looked at yet."""
        fresh, self._fresh = self._fresh, {}
        told = self._told
        updates = [self._pending[alloc_id]() for alloc_id in fresh if alloc_id in self._pending]
        return any(one.id not in told or told[one.id].client_status != one.client_status for one in updates)

    async def _send(self) -> None:
        pending, self._pending = self._pending, {}
        updates = [source() for source in pending.values()]
        fresh = [one for one in updates if self._told.get(one.id) != one]
        for start in range(0, len(fresh), UPDATES_PER_REQUEST_MAX):
            part = fresh[start : start + UPDATES_PER_REQUEST_MAX]
            self._sending = {update.id: update for update in part}
            try:
                await self._operations.update_allocs(part)
            except YurtError as error:
                log.warning("allocation updates were not taken", extra={"reason": str(error)})
                for one in fresh[start:]:
                    self._pending.setdefault(one.id, pending[one.id])
                await asyncio.sleep(RETRY_SECONDS)
                self._news.set()
                return
            self._told |= self._sending  # without those that were forgotten meanwhile
