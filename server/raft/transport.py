"""The connections between servers: each dials all others, sends on the connection it dialled, and answers on the other.

Plain TCP or mutual TLS (contexts are handed in, the one to dial with is asked for each time). A peer of another region
or cluster is refused.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from yurt.server.address import split_address
from yurt.server.raft.certificates import refusal
from yurt.server.raft.connection import Connection, Counters, Hello
from yurt.server.raft.errors import NotSent

log = logging.getLogger("raft.transport")

DIAL_SECONDS_MAX = 3.0
REDIAL_SECONDS = 0.2
REDIAL_SECONDS_MAX = 2.0

Handler = Callable[[bytes], Awaitable[bytes]]


class PeerTransport:
    """All connections of one server."""

    def __init__(
        self,
        own_hello: Callable[[], Hello],
        *,
        chance: random.Random,
        server_tls: ssl.SSLContext | None = None,
        client_tls: Callable[[], ssl.SSLContext | None] = lambda: None,
        handshake_seconds: float = 5.0,
    ) -> None:
        self.own_hello = own_hello
        self._chance, self._server_tls, self._client_tls = chance, server_tls, client_tls
        self._handshake_seconds = handshake_seconds
        self.hellos: dict[str, Hello] = {}
        self.on_raft: Callable[[str, bytes], None] = lambda _server, _data: None
        self.on_connected: Callable[[str], None] = lambda _server: None
        self.on_disconnected: Callable[[str], None] = lambda _server: None
        self.on_hello: Callable[[Hello], None] = lambda _hello: None
        self._dialled: dict[str, Connection] = {}  # by server ID
        self._open: set[Connection] = set()
        self._dialling: dict[str, asyncio.Task[None]] = {}  # by address
        self._handlers: dict[str, Handler] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._closed = False
        self.name_wanted = ""  # in every peer's certificate; empty: the authority's signature is enough
        self.counters: dict[str, Counters] = {}  # by server ID
        self.refused = 0

    async def listen(self, host: str, port: int) -> None:
        """Accept connections; OSError if the port is in use."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: self._connection(dialled=False),
            host,
            port,
            ssl=self._server_tls,
            ssl_handshake_timeout=self._handshake_seconds if self._server_tls is not None else None,
        )

    def dial(self, address: str) -> None:
        """Keep a connection to that address, again and again until the transport is closed."""
        if address not in self._dialling and not self._closed:
            self._dialling[address] = asyncio.get_running_loop().create_task(self._keep(address))

    async def close(self) -> None:
        """End everything."""
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        tasks = [*self._dialling.values(), *self._requests]
        for task in tasks:
            task.cancel()
        for connection in list(self._open):
            connection.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- connections

    def _connection(self, *, dialled: bool) -> Connection:
        connection = Connection(
            self.own_hello,
            dialled=dialled,
            on_hello=self._greeted,
            on_raft=lambda server, data: self.on_raft(server, data),
            on_request=self._request,
            on_lost=self._lost,
        )
        self._open.add(connection)
        return connection

    async def _keep(self, address: str) -> None:
        host, port = split_address(address)
        wait = REDIAL_SECONDS
        while not self._closed:
            connection = self._connection(dialled=True)
            try:
                await asyncio.wait_for(
                    asyncio.get_running_loop().create_connection(
                        lambda connection=connection: connection, host, port, ssl=self._client_tls()
                    ),
                    DIAL_SECONDS_MAX,
                )
                await connection.lost
                if connection.hello is not None and connection.hello.server_id == self.own_hello().server_id:
                    return
                wait = REDIAL_SECONDS
            except (OSError, TimeoutError, ssl.SSLError):
                self._open.discard(connection)
            await asyncio.sleep(wait * (0.5 + self._chance.random()))
            wait = min(wait * 1.5, REDIAL_SECONDS_MAX)

    def _greeted(self, connection: Connection, hello: Hello) -> bool:
        own = self.own_hello()
        if hello.server_id == own.server_id:
            return False
        if self.name_wanted and (reason := refusal(connection.certificate(), self.name_wanted)):
            self.refused += 1
            log.warning("unauthorized raft connection", extra={"peer": hello.address, "reason": reason})
            return False
        if hello.region != own.region or (own.cluster and hello.cluster and own.cluster != hello.cluster):
            self.refused += 1
            log.warning("a server of another region or cluster was refused", extra={"peer": hello.address})
            return False
        self.hellos[hello.server_id] = hello
        connection.counters = self.counters.setdefault(hello.server_id, Counters())
        connection.counters.connections += 1
        if connection.dialled:
            self._dialled[hello.server_id] = connection
            self.on_connected(hello.server_id)
        self.on_hello(hello)
        return True

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        hello = connection.hello
        if hello is not None and self._dialled.get(hello.server_id) is connection:
            del self._dialled[hello.server_id]
            if not self._closed:
                self.on_disconnected(hello.server_id)

    def reconnect(self) -> None:
        """Greet everybody anew: what this server says of itself has changed, or whom it trusts."""
        for connection in list(self._open):
            connection.close()

    # --- messages and requests

    def is_connected(self, server_id: str) -> bool:
        """Whether a message to that server would leave now."""
        connection = self._dialled.get(server_id)
        return connection is not None and connection.is_open

    def send_raft(self, server_id: str, data: bytes) -> None:
        """Send, or lose it."""
        connection = self._dialled.get(server_id)
        if connection is not None:
            connection.send_raft(data)
        elif server_id in self.counters:
            self.counters[server_id].dropped += 1

    def serve(self, method: str, handler: Handler) -> None:
        """Answer requests of that method."""
        self._handlers[method] = handler

    async def call(self, server_id: str, method: str, payload: bytes, *, timeout: float) -> bytes:
        """Ask another server; `NotSent` if it surely did not get the request, `OutcomeUnknown` if it may have."""
        connection = self._dialled.get(server_id)
        if connection is None:
            raise NotSent(f"no connection to server {server_id}")
        return await connection.call(method, payload, timeout=timeout)

    def _request(self, connection: Connection, request_id: bytes, method: str, payload: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(connection, request_id, method, payload))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _handle(self, connection: Connection, request_id: bytes, method: str, payload: bytes) -> None:
        handler = self._handlers.get(method)
        if handler is None:
            connection.answer(request_id, False, f"unknown method {method}".encode())
            return
        try:
            connection.answer(request_id, True, await handler(payload))
        except NotSent as error:
            connection.answer(request_id, False, str(error).encode())

    def members(self) -> list[dict[str, Any]]:
        """Every server that ever said hello: id, name, address, datacenter, software, http_address, alive."""
        return [
            {
                "id": hello.server_id,
                "name": hello.name,
                "address": hello.address,
                "datacenter": hello.datacenter,
                "software": hello.software,
                "http_address": hello.http_address,
                "alive": self.is_connected(hello.server_id),
            }
            for hello in self.hellos.values()
        ]


def counters_of(transport: PeerTransport) -> dict[str, dict[str, float]]:
    """What went to and came from each peer, by its name."""
    return {
        transport.hellos[server_id].name: {**asdict(counters), "alive": float(transport.is_connected(server_id))}
        for server_id, counters in transport.counters.items()
        if server_id in transport.hellos
    }
