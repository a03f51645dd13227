"""The other members of the configuration: their IDs, and a question to one of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from yurt.fsm.errors import YurtError

if TYPE_CHECKING:
    from yurt.server.server import Server

log = logging.getLogger("keyring")


def other_members(server: Server) -> list[str]:
    """Return the server IDs of all other members, learners included."""
    own = server.engine.own.id
    return [row["id"] for row in server.engine.servers() if row["id"] != own]


async def ask_member(server: Server, server_id: str, method: str, payload: bytes, *, seconds: float) -> bytes:
    """Return a member's answer; empty if none came within `seconds`."""
    try:
        return await server.transport.call(server_id, method, payload, timeout=seconds)
    except (YurtError, TimeoutError) as error:
        log.debug("a server did not answer", extra={"server": server_id, "reason": str(error)})
        return b""
