"""Keeps the servers' view of this node's services as it should be, over outages (spec node-agent §13)."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.registration import ServiceRegistration

log = logging.getLogger("client")

RETRY_SECONDS = (0.2, 1.0, 5.0)
PER_REQUEST_MAX = 500


class Servers(Protocol):
    """The operations of the servers that registration needs (`servers.Operations`)."""

    async def upsert_services(self, services: list[ServiceRegistration]) -> None:
        """ServiceRegistration.Upsert."""

    async def delete_services(self, ids: list[str]) -> None:
        """ServiceRegistration.DeleteByID."""


class Registrar:
    """The newest wish for each registration: there as given, or gone (None)."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._wishes: dict[str, ServiceRegistration | None] = {}
        self._news = asyncio.Event()

    def put(self, services: dict[str, ServiceRegistration]) -> None:
        """These are to be there."""
        self._wishes.update(services)
        self._news.set()

    def remove(self, ids: list[str]) -> None:
        """These are to be gone."""
        self._wishes.update(dict.fromkeys(ids))
        self._news.set()

    async def run(self) -> None:
        """Carry wishes out, again and again."""
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            wishes, self._wishes = self._wishes, {}
            try:
                await self._carry_out(wishes)
                failures = 0
            except YurtError as error:
                log.warning("services were not registered", extra={"reason": str(error)})
                self._wishes = {**wishes, **self._wishes}
                self._news.set()
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _carry_out(self, wishes: dict[str, ServiceRegistration | None]) -> None:
        gone = [one for one, wish in wishes.items() if wish is None]
        there = [wish for wish in wishes.values() if wish is not None]
        for start in range(0, len(gone), PER_REQUEST_MAX):
            await self._servers.delete_services(gone[start : start + PER_REQUEST_MAX])
        for start in range(0, len(there), PER_REQUEST_MAX):
            await self._servers.upsert_services(there[start : start + PER_REQUEST_MAX])
