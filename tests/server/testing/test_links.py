"""Links between servers end what they cannot read."""

from __future__ import annotations

import socket
import struct

import pytest

from yurt.server.testing.links import Links
from yurt.testing import free_ports


@pytest.mark.parametrize("body", [b"no zlib at all", b"\x78\x9c"])
def test_an_opening_that_cannot_be_read_ends_the_connection_alone(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    links = Links({"a": port}, {"a": port})
    try:
        with socket.create_connection(("127.0.0.1", links.library_ports["a"]), 10) as connection:
            connection.sendall(struct.pack("i", len(body)) + body)
            connection.settimeout(10)
            assert connection.recv(1) == b""
    finally:
        links.close()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
