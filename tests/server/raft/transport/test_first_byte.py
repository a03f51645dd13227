"""The protocols of the peer port, by the first byte."""

from __future__ import annotations

import pytest

from yurt.server.raft.transport.first_byte import Protocol, protocol_of


@pytest.mark.parametrize("byte", range(256))
def test_every_first_byte_has_one_protocol(byte: int) -> None:
    expected = Protocol.CLIENT if 1 <= byte <= 6 else Protocol.UNKNOWN
    assert protocol_of(byte, tls=False) is (Protocol.PEER if byte == 0 else expected)
    assert protocol_of(byte, tls=True) is (Protocol.TLS if byte == 0x16 else expected)
