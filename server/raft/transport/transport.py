"""The connections between servers: each dials all others, sends on the connection it dialled, and answers on the other.

Plain TCP or mutual TLS (contexts are handed in, the one to dial with is asked for each time). A peer of another region
or cluster is refused, and who does not prove the cluster secret under the ID of a server that has proved it. What the
others may ask says the table of methods, by the kind of caller (`callers.py`, `peer_requests.py`). Connections of
strangers are bounded, and nothing is kept of them when they are gone (`arrivals.py`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket
import ssl
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

from yurt.server.platform.address import client_of
from yurt.server.platform.supervision import Supervisor
from yurt.server.raft.errors import NotSent
from yurt.server.raft.transport.arrivals import Arrivals
from yurt.server.raft.transport.callers import RAFT, Asker, Caller, PeerMethods, kind_of, may_call
from yurt.server.raft.transport.certificates import refusal
from yurt.server.raft.transport.connection import Connection, Counters
from yurt.server.raft.transport.dialler import Dialler
from yurt.server.raft.transport.handshake import NONCE_BYTES, Handshake, Hello, Role
from yurt.server.raft.transport.listener import Listener
from yurt.server.raft.transport.peer_requests import AskerHandler, Handler, PeerRequests
from yurt.server.raft.transport.refusals import Refusals
from yurt.server.raft.transport.trust import Trust

log = logging.getLogger("raft.transport")


IDLE_SECONDS = 60.0  # after which a stranger's connection ends
SWEEP_SECONDS = 5.0
ITSELF = "it is this server itself"


@dataclass(frozen=True, slots=True)
class PortBounds:
    """Bounds of the peer port; 0 connections are any number."""

    per_address: int = 100
    strangers: int = 64
    handshake_seconds: float = 5.0
    idle_seconds: float = IDLE_SECONDS


def bounds_for(*, files: int, per_address: int, total: int, handshake_seconds: float) -> PortBounds:
    """Return the bounds of a process that may open `files` files; half of `total` connections are kept for members.

    With `total` 0 an eighth of the files, at most 1,024.
    """
    total = total or max(32, min(files // 8, 1024))
    return PortBounds(per_address, max(1, total // 2), handshake_seconds)


class PeerTransport:
    """All connections of one server."""

    def __init__(
        self,
        own_hello: Callable[[], Hello],
        *,
        chance: random.Random,
        methods: PeerMethods,
        server_tls: ssl.SSLContext | None = None,
        client_tls: Callable[[], ssl.SSLContext | None] = lambda: None,
        bounds: PortBounds = PortBounds(),
        supervisor: Supervisor | None = None,
        trust: Trust | None = None,
    ) -> None:
        self.own_hello, self._methods = own_hello, methods
        self._bounds, self.trust = bounds, trust or Trust()
        self._supervisor = supervisor or Supervisor()
        self.hellos: dict[str, Hello] = {}
        self.on_raft: Callable[[str, bytes], None] = lambda _server, _data: None
        self.on_connected: Callable[[str], None] = lambda _server: None
        self.on_disconnected: Callable[[str], None] = lambda _server: None
        self.on_hello: Callable[[Hello], None] = lambda _hello: None
        self._dialled: dict[str, Connection] = {}  # by server ID: the one of those dialled that messages leave on
        self._open: set[Connection] = set()
        self._hosts: dict[str, str] = {}  # of members, by server ID
        self.requests = PeerRequests(methods, self._supervisor)
        self.members_of: Callable[[], Collection[str]] = frozenset  # server IDs of the configuration
        self.address_of: Callable[[str], str | None] = lambda _server: None  # in the configuration, by server ID
        self._dialler = Dialler(
            self._connection,
            rng=chance,
            tls=client_tls,
            has_dialled=self._has_dialled,
            supervisor=self._supervisor,
        )
        self._arrivals = Arrivals(per_address=bounds.per_address, strangers_max=bounds.strangers)
        self._listener = Listener(
            self._connection,
            self._arrivals,
            tls=server_tls,
            handshake_seconds=bounds.handshake_seconds,
            member_hosts=lambda: self._hosts.values(),
            supervisor=self._supervisor,
        )
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False
        self.name_wanted = ""  # in every peer's certificate; empty: the authority's signature is enough
        self.counters: dict[str, Counters] = {}  # by server ID
        self._refusals = Refusals()

    def listen(self, sock: socket.socket) -> None:
        """Accept on a listening socket, which is the transport's own from now on."""
        self._listener.listen(sock)
        if self._sweeping is None:
            self._sweep()

    def dial(self, address: str) -> None:
        """Keep a connection to an address, until `undial` or until the transport is closed."""
        self._dialler.dial(address)

    def undial(self, address: str) -> None:
        """Let the connection to an address be; it is not begun anew when it breaks."""
        self._dialler.undial(address)

    def dial_back(self, address: str) -> None:
        """Keep a connection to a server that dialled this one, as long as it keeps its own."""
        self._dialler.dial_back(address)

    def _has_dialled(self, address: str) -> bool:
        return any(
            connection.is_open and not connection.dialled and connection.hello.address == address
            for connection in self._open
            if connection.hello is not None
        )

    async def close(self) -> None:
        """End everything."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.requests.close()
        await self._dialler.close()
        await self._listener.close()
        for connection in list(self._open):
            connection.close()

    # --- connections

    def _connection(self, address: str = "") -> Connection:
        connection = Connection(
            self._handshake,
            address=address,
            on_open=self._greeted,
            on_refused=self._refused,
            on_raft=self._raft_message,
            on_request=self._request,
            on_lost=self._lost,
            large_frames=self._may_be_large,
            handshake_seconds=self._bounds.handshake_seconds,
        )
        self._open.add(connection)
        return connection

    def _handshake(self, connection: Connection) -> Handshake:
        return Handshake(
            self.own_hello(),
            Role.DIALLER if connection.dialled else Role.ACCEPTOR,
            nonce=secrets.token_bytes(NONCE_BYTES),
            keys=self.trust.keys,
            is_required=lambda hello: self._must_prove(connection, hello),
            check=lambda hello: self._refusal(connection, hello),
        )

    def _must_prove(self, connection: Connection, hello: Hello) -> bool:
        """Whether a server must prove the secret: after it has done so once, always.

        Only where this server dials it at its address in the configuration may it take that back, as a version before
        does.
        """
        is_at_home = self._is_configured(connection, hello.server_id)
        return self.trust.is_required or (not is_at_home and self.trust.has_proof_of(hello.server_id))

    def _is_configured(self, connection: Connection, server_id: str) -> bool:
        """Whether this side dialled the address that the configuration has for a server."""
        return connection.dialled and connection.address == self.address_of(server_id)

    def _refusal(self, connection: Connection, hello: Hello) -> str:
        """Why a server's greeting is not accepted; empty if it is."""
        own = self.own_hello()
        if hello.server_id == own.server_id:
            return ITSELF
        if self.name_wanted and (reason := refusal(connection.certificate(), self.name_wanted)):
            return reason
        if hello.region != own.region:
            return "it is a server of another region"
        if own.cluster and hello.cluster and own.cluster != hello.cluster:
            return "it is a server of another cluster"
        known = self._dialled.get(hello.server_id)
        if (
            connection.dialled
            and connection.address not in self._dialler.wanted
            and known is not None
            and known.is_open
        ):
            return "the server is connected at another address"
        return ""

    def _refused(self, connection: Connection, reason: str) -> None:
        """Log a refusal; the same reason is a warning once in a while only."""
        if reason.endswith(ITSELF):  # this side found out, or the other one said so
            return
        is_news = self._refusals.is_news(reason, asyncio.get_running_loop().time())
        level = logging.WARNING if is_news else logging.DEBUG
        peer = connection.greeting.address if connection.greeting is not None else connection.address
        log.log(level, "unauthorized raft connection", extra={"peer": peer, "from": connection.host, "reason": reason})

    def _greeted(self, connection: Connection, hello: Hello) -> None:
        is_proved = connection.key is not None
        self.trust.noted(hello.server_id, connection.key)
        if is_proved:
            self._end_unproved(hello.server_id)
        if self.trust.keys and not is_proved:
            log.info(
                "server connected without the cluster secret, which is not required yet", extra={"peer": hello.address}
            )
        is_link = connection.dialled and (
            not self.is_connected(hello.server_id) or self._is_configured(connection, hello.server_id)
        )
        if is_link or not self.is_connected(hello.server_id):
            self.hellos[hello.server_id] = hello
        connection.counters = self.counters.setdefault(hello.server_id, Counters())
        connection.counters.connections += 1
        if hello.server_id in self.members_of():
            self._hosts[hello.server_id] = client_of(connection.host)
            self._listener.promote(connection, hello.server_id)
        if is_link:
            self._dialled[hello.server_id] = connection
            self.on_connected(hello.server_id)
        self.on_hello(hello)

    def _end_unproved(self, server_id: str) -> None:
        """End the connections under the ID of a server that has proved the secret now and did not on them."""
        for connection in list(self._open):
            if connection.hello is not None and connection.hello.server_id == server_id and connection.key is None:
                connection.close()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._listener.ended(connection)
        hello = connection.hello
        if hello is None:
            return
        if self._dialled.get(hello.server_id) is connection:
            del self._dialled[hello.server_id]
            if not self._closed:
                self.on_disconnected(hello.server_id)
                self._link_another(hello.server_id)
        self._forget(hello.server_id)

    def _link_another(self, server_id: str) -> None:
        """Let messages to a server leave on another connection that was dialled to it, if one stands."""
        for other in sorted(self._open, key=lambda connection: not self._is_configured(connection, server_id)):
            hello = other.hello
            if hello is not None and hello.server_id == server_id and other.dialled and other.is_open:
                self.hellos[server_id], self._dialled[server_id] = hello, other
                self.on_connected(server_id)
                return

    def _forget(self, server_id: str) -> None:
        """Keep nothing of a server that is neither a member nor connected."""
        if server_id in self.members_of() or any(
            other.hello is not None and other.hello.server_id == server_id for other in self._open
        ):
            return
        self.hellos.pop(server_id, None)
        self.counters.pop(server_id, None)
        self.trust.forget(server_id)

    def reconnect(self) -> None:
        """Greet everybody anew: what this server says of itself has changed, or whom it trusts."""
        for connection in list(self._open):
            connection.close()

    def trust_again(self) -> None:
        """End connections that do not meet the present demand, after it or the keys have changed; both sides redial."""
        keys = self.trust.keys
        for connection in list(self._open):
            if keys and connection.hello is not None and connection.key not in keys:
                connection.close()

    # --- messages and requests

    def is_connected(self, server_id: str) -> bool:
        """Whether a message to that server would leave now."""
        connection = self._dialled.get(server_id)
        return connection is not None and connection.is_open

    def is_proven(self, server_id: str) -> bool:
        """Whether that server proved the cluster secret, or showed a certificate with a server's name."""
        return server_id in self.hellos and (bool(self.name_wanted) or self.trust.has_proof_of(server_id))

    def asks_for_proof(self) -> bool:
        """Whether servers can prove to this one that they belong to the cluster."""
        return bool(self.name_wanted or self.trust.keys)

    def send_raft(self, server_id: str, data: bytes) -> None:
        """Send, or lose it."""
        connection = self._dialled.get(server_id)
        if connection is not None:
            connection.send_raft(data)
        elif server_id in self.counters:
            self.counters[server_id].dropped += 1

    def serve(self, method: str, handler: Handler) -> None:
        """Answer requests of a method, which has its row in the table of methods."""

        async def answer(payload: bytes, _asker: Asker) -> bytes:
            return await handler(payload)

        self.serve_asker(method, answer)

    def serve_asker(self, method: str, handler: AskerHandler) -> None:
        """The same for a handler that must know its caller."""
        self.requests.serve(method, handler)

    async def call(self, server_id: str, method: str, payload: bytes, *, timeout: float) -> bytes:
        """Ask another server; `NotSent` if it surely did not get the request, `OutcomeUnknown` if it may have."""
        connection = self._dialled.get(server_id)
        if connection is None:
            raise NotSent(f"no connection to server {server_id}")
        return await connection.call(method, payload, timeout=timeout)

    def _kind_of(self, server_id: str, key: bytes | None) -> Caller:
        return kind_of(server_id, members=self.members_of(), is_proved=key is not None or not self.trust.keys)

    def _raft_message(self, connection: Connection, data: bytes) -> None:
        assert connection.hello is not None, "messages come after the greeting"
        server_id = connection.hello.server_id
        if may_call(self._methods, RAFT, self._kind_of(server_id, connection.key)):
            self.on_raft(server_id, data)

    def _is_strangers(self, connection: Connection) -> bool:
        hello = connection.hello
        return hello is None or hello.server_id not in self.members_of()

    def _may_be_large(self, connection: Connection) -> bool:
        """Whether a connection may send a frame of any size: a member's always, of all strangers' one at a time."""
        return not self._is_strangers(connection) or not any(
            other is not connection and other.holds_large_frame and self._is_strangers(other) for other in self._open
        )

    def _request(self, connection: Connection, request_id: bytes, method: str, payload: bytes) -> None:
        hello = connection.hello
        assert hello is not None, "requests come after the greeting"
        asker = Asker(self._kind_of(hello.server_id, connection.key), hello.server_id, hello.address)
        self.requests.receive(connection, asker, request_id, method, payload)

    def _sweep(self) -> None:
        """End connections of strangers that say nothing."""
        members, latest = self.members_of(), asyncio.get_running_loop().time() - self._bounds.idle_seconds
        self._arrivals.demote(members)
        self._hosts = {server_id: host for server_id, host in self._hosts.items() if server_id in members}
        for connection in list(self._open):
            hello = connection.hello
            if hello is not None and hello.server_id in members:
                self._listener.promote(connection, hello.server_id)  # greeted before this server knew its members
            is_silent = hello is not None and hello.server_id not in members and connection.heard_at < latest
            if is_silent and not connection.dialled:
                connection.close()
        self._sweeping = self._supervisor.later("peer sweep", SWEEP_SECONDS, self._sweep)

    def members(self) -> list[dict[str, Any]]:
        """The members and all who are connected: id, name, address, datacenter, software, http_address, alive."""
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
    """Return the counters of the traffic with each peer, and whether it is connected (`alive`), by its name."""
    return {
        transport.hellos[server_id].name: {**asdict(counters), "alive": float(transport.is_connected(server_id))}
        for server_id, counters in transport.counters.items()
        if server_id in transport.hellos
    }
