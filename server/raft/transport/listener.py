"""The peer port: accepts connections within bounds, and lets only those into TLS that speak it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from yurt.server.platform.address import client_of
from yurt.server.platform.supervision import Supervised, Supervisor
from yurt.server.raft.transport.arrivals import Arrival, Arrivals
from yurt.server.raft.transport.connection import Connection
from yurt.server.raft.transport.first_byte import Protocol, protocol_of

log = logging.getLogger("raft.transport")

ACCEPT_RETRY_SECONDS = 0.1
WARN_SECONDS = 30.0
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


def keep_alive(sock: socket.socket) -> None:
    """Let the kernel find out when the other machine is gone, and send small frames at once."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


class Listener:
    """Accepts for one transport; `make` gives the protocol of a connection that speaks as a peer."""

    def __init__(
        self,
        make: Callable[[], Connection],
        arrivals: Arrivals,
        *,
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
        member_hosts: Callable[[], Collection[str]],
        supervisor: Supervisor,
    ) -> None:
        self._make, self._arrivals, self._tls = make, arrivals, tls
        self._handshake_seconds, self._member_hosts = handshake_seconds, member_hosts
        self._supervisor = supervisor
        self._accepting: list[Supervised] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._sockets: list[socket.socket] = []
        self._by_connection: dict[Connection, Arrival] = {}
        self._warned_at = float("-inf")

    def listen(self, sock: socket.socket) -> None:
        """Accept on a listening socket, which is this object's own from now on."""
        self._sockets.append(sock)
        self._accepting.append(self._supervisor.start("peer port", partial(self._accept, sock)))

    async def close(self) -> None:
        """Accept no more; connections that are up are the transport's to end."""
        tasks = [*(accepting.task for accepting in self._accepting), *self._serving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in self._sockets:
            sock.close()

    def promote(self, connection: Connection, server_id: str) -> None:
        """The other side of an accepted connection is a member."""
        if (arrival := self._by_connection.get(connection)) is not None:
            self._arrivals.promote(arrival, server_id)

    def ended(self, connection: Connection) -> None:
        """A connection is no more."""
        if (arrival := self._by_connection.pop(connection, None)) is not None:
            self._arrivals.end(arrival)

    # --- accepting

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(sock)
            except OSError as error:  # out of files, or the other side has gone already
                self._warn("connection not accepted on the peer port", str(error))
                await asyncio.sleep(ACCEPT_RETRY_SECONDS)
                continue
            self._arrived(accepted, client_of(address[0]))
            await asyncio.sleep(0)  # a queue of connections does not keep the loop

    def _arrived(self, accepted: socket.socket, address: str) -> None:
        arrival = Arrival(address, lambda: None)
        task = self._supervisor.spawn("peer connection", self._serve(accepted, arrival))
        arrival.close = partial(_cancel, task)  # until there is a connection
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        before = self._arrivals.evicted
        self._arrivals.begin(arrival, self._member_hosts())
        if self._arrivals.evicted > before:
            self._warn("too many connections on the peer port: the oldest stranger was closed", address)

    async def _serve(self, accepted: socket.socket, arrival: Arrival) -> None:
        """Take one connection to where its protocol goes on by itself."""
        connection: Connection | None = None
        try:
            accepted.setblocking(False)
            keep_alive(accepted)
            if self._tls is not None and not await self._speaks_tls(accepted):
                return
            connection = self._make()
            self._by_connection[connection] = arrival
            arrival.close = partial(_close, connection, asyncio.current_task())
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_seconds if self._tls is not None else None,
            )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            log.debug("connection ended before its handshake", extra={"peer": arrival.address, "reason": str(error)})
        finally:
            if connection is None:
                accepted.close()
                self._arrivals.end(arrival)
            elif connection.transport is None:
                connection.connection_lost(None)

    async def _speaks_tls(self, accepted: socket.socket) -> bool:
        """Look at the first byte, which stays where it is for the handshake."""
        async with asyncio.timeout(self._handshake_seconds):
            await _readable(accepted)
        first = accepted.recv(1, socket.MSG_PEEK)
        if not first:
            return False
        protocol = protocol_of(first[0], tls=True)
        if protocol is Protocol.CLIENT:
            log.debug("client protocol refused on the peer port", extra={"byte": first[0]})
        return protocol is Protocol.TLS

    def _warn(self, text: str, reason: str) -> None:
        """Log a warning, but not one for each connection of a flood."""
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            log.warning(text, extra={"reason": reason, "strangers": self._arrivals.strangers})


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _close(connection: Connection, handshake: asyncio.Task[None] | None) -> None:
    if connection.transport is not None:
        connection.close()
    elif handshake is not None:
        handshake.cancel()


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def told() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), told)
    try:
        await ready
    finally:
        with suppress(ValueError, OSError):
            loop.remove_reader(sock.fileno())
