"""The survey of root keys and log space that servers lack: the leader, and any server that shows it, asks each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from yurt.fsm.errors import YurtError
from yurt.server.cluster.members import other_members
from yurt.server.raft.consensus import Consensus
from yurt.server.raft.errors import NotSent
from yurt.server.raft.transport.transport import PeerTransport

log = logging.getLogger("keyring")

STATUS = "keyring.status"
ANSWER_SECONDS = 1.0
_UNKNOWN_METHOD = f"unknown method {STATUS}"  # the answer of a server of a version before


class KeyStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """The root keys of a server's own state that it cannot use, the reason in words, its key-encryption keys; and
    whether its disk has no room for the log."""

    missing: tuple[str, ...] = ()
    reason: str = ""
    accepted: tuple[str, ...] = ()  # IDs of key-encryption keys
    is_full: bool = False


NOT_ASKED = KeyStatus(reason="the server has not told yet which root keys it has")


class KeySurvey:
    """The newest status of every server of the configuration."""

    def __init__(self, engine: Consensus, transport: PeerTransport, own_status: Callable[[], KeyStatus]) -> None:
        self._engine, self._transport, self._own_status = engine, transport, own_status
        self._told: dict[str, KeyStatus] = {}  # by server ID; a server of a version before counts as whole
        transport.serve(STATUS, self._answer)

    async def _answer(self, _payload: bytes) -> bytes:
        return msgspec.msgpack.encode(self._own_status())

    def of(self, server_id: str) -> KeyStatus:
        """Return the newest known status of a server."""
        if server_id == self._engine.own.id:
            return self._own_status()
        return self._told.get(server_id, NOT_ASKED)

    def is_whole(self, server_id: str) -> bool:
        """Whether a server has said that it can use every root key of its state."""
        status = self.of(server_id)
        return status is not NOT_ASKED and not status.missing

    @property
    def most_are_full(self) -> bool:
        """Whether the voters that have room for the log are no majority, as far as they have told."""
        if not any(status.is_full for status in self._told.values()):
            return False
        voters = [row["id"] for row in self._engine.servers() if row["voter"]]
        full = sum(self.of(server_id).is_full for server_id in voters)
        return 2 * (len(voters) - full) <= len(voters)

    def may_vote(self, server_id: str) -> bool:
        """Whether a learner may become a voter: it lacks no key that this server has."""
        status = self.of(server_id)
        return status is not NOT_ASKED and set(status.missing) <= set(self._own_status().missing)

    async def ask(self) -> None:
        """Ask every other server of the configuration; a server that does not answer keeps its last status."""
        others = other_members(self._engine)
        self._told = {server_id: status for server_id, status in self._told.items() if server_id in others}
        await asyncio.gather(*map(self._ask, others))

    async def _ask(self, server_id: str) -> None:
        try:
            payload = await self._transport.call(server_id, STATUS, b"", timeout=ANSWER_SECONDS)
            self._told[server_id] = msgspec.msgpack.decode(payload, type=KeyStatus)
        except NotSent as error:
            if str(error) == _UNKNOWN_METHOD:
                self._told[server_id] = KeyStatus()
        except (YurtError, msgspec.MsgspecError) as error:
            log.debug("a server did not tell its keys", extra={"server": server_id, "reason": str(error)})
