"""Answers that a node agent asks for: whatever comes is an answer, or none."""

from __future__ import annotations

import asyncio

import pytest

from yurt.server.client.http import BODY_BYTES_MAX, HEAD_BYTES_MAX, Answered, Unreachable, request


def asked(sent: bytes) -> Answered:
    """The answer where a server sends some bytes and ends the connection."""

    async def main() -> Answered:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            return await request(f"{host}:{port}", "GET", "/", seconds=20.0)

    return asyncio.run(main())


def test_an_answer() -> None:
    assert asked(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody") == (200, {"content-length": "4"}, b"body")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (2 * HEAD_BYTES_MAX) + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * HEAD_BYTES_MAX,
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5000),
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody",
    ],
    ids=["nothing", "line", "header", "no end", "digits", "large", "negative", "short"],
)
def test_what_is_no_answer_is_said_to_be_none(sent: bytes) -> None:
    with pytest.raises(Unreachable):
        asked(sent)
