"""The protocols of the peer port, told apart by the first byte of a connection.

Frames of peers begin with 0x00, because their first one is short. 0x01 to 0x06 are the first bytes of the reference's
client protocol (spec client-rpc §2). On a port with TLS a peer begins with a TLS record, and its frames come within.
"""

from __future__ import annotations

from enum import Enum

TLS_RECORD = 0x16


class Protocol(Enum):
    """The protocol of a connection."""

    PEER = "peer"
    TLS = "tls"
    CLIENT = "client"
    UNKNOWN = "unknown"


def protocol_of(byte: int, *, tls: bool) -> Protocol:
    """Return the protocol of a connection's first byte; `tls`: on the outside of a port that speaks TLS."""
    if 0x01 <= byte <= 0x06:
        return Protocol.CLIENT
    if tls:
        return Protocol.TLS if byte == TLS_RECORD else Protocol.UNKNOWN
    return Protocol.PEER if byte == 0x00 else Protocol.UNKNOWN
