"""A request that a node answers: handed over to where it listens, its answer passed on as it comes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import quote

from yurt.fsm.errors import Refusal
from yurt.fsm.structs.node import Node
from yurt.server.address import split_address
from yurt.server.http.context import Answer, Context

CONNECT_SECONDS, IDLE_SECONDS = 5.0, 330.0
HEAD_BYTES_MAX = 64 << 10
PART_BYTES = 64 << 10
_KEPT = (b"x-nomad-token", b"authorization", b"content-type")
_PASSED = (b"content-type", b"x-nomad-index")


async def proxied(context: Context, node: Node) -> Answer:
    """The node's answer; raises Refusal(500) if there is none."""
    if b"x-yurt-proxied" in context.headers:
        raise Refusal(404, f'Unknown allocation "{context.arguments[0]}"')  # never a second time
    try:
        reader, writer = await connect(context, node)
    except (OSError, TimeoutError, ValueError) as error:
        raise Refusal(500, f"node {node.id} does not answer at {node.http_addr}: {error}") from error
    try:
        writer.write(head_of(context, node, f"Content-Length: {len(context.body)}", "Connection: close") + context.body)
        async with asyncio.timeout(IDLE_SECONDS):
            await writer.drain()
            status, headers = await read_head(reader)
    except (OSError, TimeoutError, ValueError, EOFError) as error:
        writer.close()
        raise Refusal(500, f"node {node.id} broke off: {error}") from error
    passed = tuple((name, value) for name, value in headers.items() if name in _PASSED)
    length = headers.get(b"content-length")
    left = int(length) if length is not None and length.isdigit() else None
    return Answer(status, b"", passed, stream=_body(reader, writer, left))


async def connect(context: Context, node: Node) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the node; raises OSError, TimeoutError, ValueError."""
    host, port = split_address(node.http_addr)
    tls = tls_to(context) if node.tls_enabled else None
    async with asyncio.timeout(CONNECT_SECONDS):
        return await asyncio.open_connection(host, port, ssl=tls, limit=HEAD_BYTES_MAX)


def tls_to(context: Context) -> ssl.SSLContext:
    """How nodes are spoken to with TLS."""
    config = context.server.config.tls
    made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=config.ca_file or None)
    made.check_hostname = config.verify_server_hostname
    if config.cert_file:
        made.load_cert_chain(config.cert_file, config.key_file)
    return made


def head_of(context: Context, node: Node, *lines: str) -> bytes:
    """The request's head, with these lines more."""
    query = f"?{context.raw_query.decode('latin-1')}" if context.raw_query else ""
    first = f"{context.method} {quote(context.path)}{query} HTTP/1.1\r\nHost: {node.http_addr}\r\nX-Yurt-Proxied: 1\r\n"
    kept = "".join(
        f"{name.decode('latin-1')}: {context.headers[name].decode('latin-1')}\r\n"
        for name in _KEPT
        if name in context.headers
    )
    return (first + kept + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of an answer; raises EOFError, ValueError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("the answer's head is too large") from error
    first, *lines = head[:-4].split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    return int(first.split(b" ", 2)[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> AsyncIterator[bytes]:
    try:
        while left is None or left > 0:
            part = await reader.read(PART_BYTES if left is None else min(left, PART_BYTES))
            if not part:
                return
            left = None if left is None else left - len(part)
            yield part
    finally:
        writer.close()
