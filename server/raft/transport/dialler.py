"""The addresses that a server keeps connections to: members and servers to look for, and who dials it."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from functools import partial

from yurt.server.platform.address import split_address
from yurt.server.platform.supervision import Supervised, Supervisor
from yurt.server.raft.transport.connection import Connection
from yurt.server.raft.transport.listener import keep_alive

log = logging.getLogger("raft.transport")

DIAL_SECONDS_MAX = 3.0
REDIAL_SECONDS = 0.2
REDIAL_SECONDS_MAX = 2.0
DIALLED_BACK_MAX = 16  # addresses outside the configuration


class Dialler:
    """Dials again and again. `make` gives the protocol of a connection to an address.

    `has_dialled` says whether the server that is reached at an address has a connection to this one.
    """

    def __init__(
        self,
        make: Callable[[str], Connection],
        *,
        rng: random.Random,
        tls: Callable[[], ssl.SSLContext | None],
        has_dialled: Callable[[str], bool],
        supervisor: Supervisor,
    ) -> None:
        self._make, self._rng, self._tls = make, rng, tls
        self._has_dialled, self._supervisor = has_dialled, supervisor
        self.wanted: set[str] = set()  # addresses to dial for ever
        self._dialling: dict[str, Supervised] = {}  # by address
        self._closed = False

    def dial(self, address: str) -> None:
        """Keep a connection to an address, until `undial` or `close`."""
        self.wanted.add(address)
        self._begin(address)

    def undial(self, address: str) -> None:
        """Let the connection to an address be; it is not begun anew when it breaks."""
        self.wanted.discard(address)

    def dial_back(self, address: str) -> None:
        """Keep a connection to a server that dialled this one, as long as it keeps its own."""
        if address not in self.wanted and len(self._dialling.keys() - self.wanted) >= DIALLED_BACK_MAX:
            log.debug("server not dialled back: there are too many outside the configuration", extra={"peer": address})
            return
        self._begin(address)

    async def close(self) -> None:
        """Dial no more."""
        self._closed = True
        links = list(self._dialling.values())
        for link in links:
            link.stop()
        for link in links:
            await link.wait()

    def _begin(self, address: str) -> None:
        if address not in self._dialling and not self._closed:
            keep = partial(self._keep, address)
            self._dialling[address] = self._supervisor.start("peer link", keep, name=address)

    async def _keep(self, address: str) -> None:
        wait = REDIAL_SECONDS
        while address in self.wanted or self._has_dialled(address):
            connection = self._make(address)
            await self._once(address, connection)
            wait = REDIAL_SECONDS if connection.hello is not None else wait
            await asyncio.sleep(wait * (0.5 + self._rng.random()))
            wait = min(wait * 1.5, REDIAL_SECONDS_MAX)
        del self._dialling[address]  # not after an unexpected error: then the supervisor begins anew

    async def _once(self, address: str, connection: Connection) -> None:
        """Try to make the connection; returns when it has ended."""
        loop = asyncio.get_running_loop()
        try:
            host, port = split_address(address)
            async with asyncio.timeout(DIAL_SECONDS_MAX):
                transport, _ = await loop.create_connection(lambda: connection, host, port, ssl=self._tls())
        except (OSError, TimeoutError, ValueError, ssl.SSLError):
            if connection.transport is None:
                connection.connection_lost(None)
            return
        keep_alive(transport.get_extra_info("socket"))
        await connection.lost
