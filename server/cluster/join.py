"""Servers that come and go: who is dialled, who asks to join, who is let in (design: Forming a cluster)."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from yurt.fsm.errors import YurtError
from yurt.server.host import Host
from yurt.server.platform.address import split_address
from yurt.server.platform.supervision import Supervised
from yurt.server.raft.errors import NotSent
from yurt.server.raft.peer import Servers
from yurt.server.raft.transport.callers import Asker, Caller
from yurt.server.raft.transport.handshake import Hello

log = logging.getLogger("raft.joining")

METHOD = "join"
ASK_SECONDS = 0.5
ANSWER_SECONDS = 5.0


class Joining:
    """Keeps this server's links in step with the configuration, and asks to be in it."""

    def __init__(self, server: Host, own: Hello, always_dialled: list[str]) -> None:
        self._server, self._own, self._kept = server, own, set(always_dialled)
        self._task: Supervised | None = None
        self._began_empty = False
        self._configured_addresses: set[str] = set()
        server.engine.on_configuration(self._configured)
        server.transport.on_hello = self._greeted
        server.transport.serve_asker(METHOD, self._asked)

    def start(self) -> None:
        """Dial everybody; ask to be let in if this server is new, or lives at another address than before."""
        engine = self._server.engine
        for hello in self._server.transport.hellos.values():
            self._greeted(hello)
        self._configured(engine.configuration)
        self._began_empty = engine.began_empty
        self._task = self._server.supervisor.start("joining", self._ask)

    def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.stop()

    # --- links

    def _configured(self, servers: Servers) -> None:
        wanted = {server[1] for server in servers if server[0] != self._own.server_id}
        for address in sorted(wanted | self._kept):
            self._server.transport.dial(address)
        for address in self._configured_addresses - wanted - self._kept:
            self._server.transport.undial(address)
        self._configured_addresses = wanted
        self._note_timings()

    def _note_timings(self) -> None:
        """Tell the engine the shortest election times of the members that have said theirs."""
        hellos = self._server.transport.hellos
        members = [server_id for server_id, *_ in self._server.engine.configuration]
        known = {member: hellos[member].election_seconds for member in members if member in hellos}
        self._server.engine.heard_timings({member: seconds for member, seconds in known.items() if seconds > 0})

    def _greeted(self, hello: Hello) -> None:
        """Dial back whoever is of this cluster: a leader that this server does not know yet needs its answers."""
        self._note_timings()
        if hello.cluster == self._server.engine.cluster:
            self._server.transport.dial_back(hello.address)

    # --- asking

    @property
    def _is_known(self) -> bool:
        own = self._own
        return [own.server_id, own.address, own.name] in [one[:3] for one in self._server.engine.configuration]

    @property
    def _wants(self) -> bool:
        """Whether to ask: a removed server does not come back by itself."""
        listed = any(one[0] == self._own.server_id for one in self._server.engine.configuration)
        return not self._is_known and (listed or self._began_empty)

    async def _ask(self) -> None:
        own = self._own
        question = msgspec.msgpack.encode((own.server_id, own.address, own.name, False))
        while not self._is_known:
            await asyncio.sleep(ASK_SECONDS)
            for server_id in sorted(self._server.transport.hellos):
                if not self._wants:
                    break
                try:
                    await self._server.transport.call(server_id, METHOD, question, timeout=ANSWER_SECONDS)
                    log.info("this server was let in", extra={"by": server_id})
                except YurtError as error:
                    log.debug("not let in yet", extra={"by": server_id, "reason": str(error)})

    # --- letting in

    async def _asked(self, payload: bytes, asker: Asker) -> bytes:
        """A server asks; the leader lets it in as a learner, in the place of one that had its address.

        A member passes the question of another on, once; everybody else asks for itself.
        """
        try:
            server_id, address, name, passed_on = msgspec.msgpack.decode(payload, type=tuple[str, str, str, bool])
            split_address(address)
        except (msgspec.MsgspecError, ValueError) as error:
            raise NotSent(f"no question to join: {error}") from None
        if asker.kind is not Caller.MEMBER and (server_id, address) != (asker.server_id, asker.address):
            raise NotSent("a server that is no member asks for itself alone")
        engine = self._server.engine
        if not engine.is_ready:
            if passed_on or engine.leader is None or engine.is_leader_role:
                raise NotSent("this server does not lead")
            question = msgspec.msgpack.encode((server_id, address, name, True))
            try:
                return await self._server.transport.call(engine.leader.id, METHOD, question, timeout=ANSWER_SECONDS)
            except YurtError as error:
                raise NotSent(str(error)) from error
        try:
            for other in engine.servers():
                if other["id"] != server_id and address == other["address"]:
                    await self._server.remove_server(other["id"])
            await self._server.add_server(server_id, address, name)
        except YurtError as error:
            raise NotSent(str(error)) from error
        log.info("a server was let in", extra={"server": server_id, "at": address})
        return b""
