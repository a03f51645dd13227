"""The shapes of log entries, checked before a follower takes them: a committed entry must be applied for ever.

A leader makes no other entries. One that is not of these shapes comes from a member that is broken, newer than this
server, or in somebody else's hands: its message is refused whole, and nothing of it reaches the log.
"""

from __future__ import annotations

import msgspec

from yurt.server.raft.core.applying import BATCH, DIGEST, RESTORE
from yurt.server.raft.core.configuration import CHANGE, FIRST, LEARNER
from yurt.server.raft.core.election import NOOP
from yurt.server.raft.core.messages import BadMessage
from yurt.server.raft.peer import Servers

_SHAPES: dict[bytes, msgspec.msgpack.Decoder[object]] = {
    BATCH: msgspec.msgpack.Decoder(list[bytes]),  # commands
    DIGEST: msgspec.msgpack.Decoder(tuple[int, bytes, bytes]),
    RESTORE: msgspec.msgpack.Decoder(tuple[bytes, int, int, bytes]),
}
_first = msgspec.msgpack.Decoder(Servers)
_change = msgspec.msgpack.Decoder(tuple[int, Servers])


def check_entries(entries: list[tuple[bytes, int, int]]) -> None:
    """Raises `BadMessage` if an entry could not be applied."""
    for payload, index, _ in entries:
        try:
            _check(payload)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BadMessage(f"entry {index} is none that a leader makes: {error}") from error


def _check(payload: bytes) -> None:
    kind, body = payload[:1], memoryview(payload)[1:]
    if (decoder := _SHAPES.get(kind)) is not None:
        decoder.decode(body)
    elif kind == CHANGE:
        _check_servers(_change.decode(body)[1])
    elif kind == FIRST:
        _check_servers(_first.decode(body))
    elif payload != NOOP:
        raise ValueError(f"it is of kind {kind!r}")


def _check_servers(servers: Servers) -> None:
    for server in servers:
        if len(server) != 3 and not (len(server) == 4 and server[3] == LEARNER):
            raise ValueError("a server of the configuration is an ID, an address, a name and perhaps a role")
    if len({server[0] for server in servers}) != len(servers) or not any(len(server) == 3 for server in servers):
        raise ValueError("a configuration has voters, and each server once")
