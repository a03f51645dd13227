"""The other members of the configuration: their IDs, and a question to one of them."""

from __future__ import annotations

import logging

from yurt.fsm.errors import YurtError
from yurt.server.raft.consensus import Consensus
from yurt.server.raft.transport.transport import PeerTransport

log = logging.getLogger("keyring")


def other_members(engine: Consensus) -> list[str]:
    """Return the server IDs of all other members, learners included."""
    return [row["id"] for row in engine.servers() if row["id"] != engine.own.id]


async def ask_member(transport: PeerTransport, server_id: str, method: str, payload: bytes, *, seconds: float) -> bytes:
    """Return a member's answer; empty if none came within `seconds`."""
    try:
        return await transport.call(server_id, method, payload, timeout=seconds)
    except (YurtError, TimeoutError) as error:
        log.debug("a server did not answer", extra={"server": server_id, "reason": str(error)})
        return b""
