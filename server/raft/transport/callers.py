"""The kinds of caller on the peer port, and the kind of one connection's other side.

The handshake has decided whether a connection stands at all; the kind decides what may be asked on it. The kind follows
the configuration: a server that is added or removed has another kind from then on, on the same connection.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

RAFT = "raft"  # the row of Raft messages in a table of peer methods


class Caller(Enum):
    """The kinds of caller."""

    MEMBER = "member of the configuration"
    JOINER = "server outside the configuration that showed everything this server asks for"
    UNPROVED = "server outside the configuration that did not prove the cluster secret, which is not required yet"


PeerMethods = Mapping[str, frozenset[Caller]]


@dataclass(frozen=True, slots=True)
class Asker:
    """The other side of a connection, as a handler of its requests sees it."""

    kind: Caller
    server_id: str
    address: str


def kind_of(server_id: str, *, members: Collection[str], is_proved: bool) -> Caller:
    """Return the kind of a server after its handshake.

    `members` are the server IDs of the configuration. `is_proved` says that the server showed everything that this
    server may ask for: with a cluster secret its proof, with TLS the certificate.
    """
    if server_id in members:
        return Caller.MEMBER
    return Caller.JOINER if is_proved else Caller.UNPROVED


def may_call(methods: PeerMethods, method: str, kind: Caller) -> bool:
    """Whether a caller of that kind may use a method; nobody may use a method that is not in the table."""
    return kind in methods.get(method, frozenset())
