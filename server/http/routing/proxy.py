"""A streaming reverse proxy to another agent."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import quote

import httptools

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_position
from yurt.fsm.structs.node import Node
from yurt.server.acl.statements import HEADER, NODE_HEADER
from yurt.server.http.asgi.context import JSON, TEXT, Answer, Context
from yurt.server.http.asgi.stated import statement_for, takes_statements
from yurt.server.platform.address import split_address
from yurt.server.raft.transport.certificates import check_role
from yurt.server.tls.files import node_roles

CONNECT_SECONDS, IDLE_SECONDS = 5.0, 330.0
HEAD_BYTES_MAX = 64 << 10
PART_BYTES = 64 << 10
BODY_BYTES_MAX = 256 << 20
STREAMED_BYTES = 1 << 20  # a longer body is handed on as it comes
_KEPT = (b"content-type", b"accept-encoding")
_SECRETS = (b"x-nomad-token", b"authorization")
_OF_NODES = (b"content-encoding",)  # what is passed on of a node's answer, beside its type
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
OLD_NODE = (
    "node {} is of a version that asks for its callers' tokens, which servers do not hand out: upgrade the node, or "
    "set server {{ allow_node_tokens = true }} until it is"
)
_PASSED = (
    b"content-type", b"x-nomad-index", b"x-nomad-knownleader", b"x-nomad-lastcontact", b"x-nomad-nexttoken",
    b"content-encoding", b"location", b"retry-after",
)  # fmt: skip
PROXIED = b"x-yurt-proxied"


@dataclass(frozen=True, slots=True)
class Target:
    """An agent to proxy to: display name, address, TLS settings."""

    name: str
    address: str
    tls: ssl.SSLContext | None = None
    is_last: bool = True  # it must answer itself
    roles: tuple[str, ...] = ()  # with TLS its certificate must have one of these names
    node_id: str = ""  # of a node that is asked by a server
    headers: tuple[tuple[str, str], ...] | None = None  # in place of the caller's own


async def target_of(context: Context, node: Node, raw_query: bytes | None = None) -> Target:
    """The node as a target, with what it is told of the caller in place of the caller's secret.

    Raises Refusal(404) for a request that was handed over already, Refusal(500) for a node that cannot be asked.
    """
    if PROXIED in context.headers:
        raise Refusal(404, "the request was handed over already, and this agent cannot answer it")
    if not _ADDRESS.fullmatch(node.http_addr):
        raise Refusal(404, f"node {node.id} has registered no address of the form HOST:PORT")
    server = context.server
    tls = server.tls_to_nodes() if node.tls_enabled else None
    target = Target(f"node {node.id}", node.http_addr, tls, roles=node_roles(server.config), node_id=node.id)
    if takes_statements(node):
        text = await statement_for(context, node, context.raw_query if raw_query is None else raw_query)
        return replace(target, headers=((HEADER.decode(), text),))
    if server.authority.enabled and not server.config.server.allow_node_tokens:
        raise Refusal(500, OLD_NODE.format(node.id))
    token = context.secret if server.authority.enabled else ""
    return replace(target, headers=(("x-nomad-token", token),) if token else ())


async def _reached(targets: tuple[Target, ...]) -> tuple[Target, asyncio.StreamReader, asyncio.StreamWriter]:
    """The first target that takes a connection; raises Refusal(500) with why the last one did not."""
    reason = "no agent can serve this request"
    for target in targets:
        try:
            return (target, *await _connect(target))
        except (OSError, TimeoutError, ValueError) as error:
            reason = f"{target.name} does not answer at {target.address}: {error}"
    raise Refusal(500, reason)


async def proxied(context: Context, *targets: Target, kind: tuple[bytes, bytes] = JSON) -> Answer:
    """The answer of the first target that can be reached; nothing is sent twice. Raises Refusal(500), Refusal(502).

    `kind` is the content type of what a node answers: nodes do not choose how browsers read them.
    """
    target, reader, writer = await _reached(targets)
    try:
        return await _asked(context, target, reader, writer, kind)
    except BaseException:
        writer.close()
        raise


async def _asked(
    context: Context,
    target: Target,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    kind: tuple[bytes, bytes],
) -> Answer:
    """The answer of an agent that was reached; its stream, if it has one, closes the connection."""
    try:
        writer.write(_head(context, target) + context.body)
        async with asyncio.timeout(IDLE_SECONDS):
            await writer.drain()
            status, headers = await read_head(reader)
    except (OSError, TimeoutError, ValueError, EOFError) as error:
        raise Refusal(500, f"{target.name} broke off: {error}") from error
    passed = tuple((name, value) for name, value in headers.items() if name in _PASSED)
    if target.node_id:
        passed = _of_node(target, status, headers, kind)
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        return Answer(status, b"", passed, stream=_chunked(_body(reader, writer)))
    if b"content-length" not in headers:
        return Answer(status, b"", passed, stream=_body(reader, writer))
    length = parse_position(headers[b"content-length"].decode("latin-1"))
    if length is None or length > BODY_BYTES_MAX:
        raise Refusal(502, f"{target.name} answered with a length that is no number of bytes up to {BODY_BYTES_MAX}")
    if length > STREAMED_BYTES:
        passed = (*passed, (b"content-length", b"%d" % length))
        return Answer(status, b"", passed, stream=_exactly(reader, writer, length))
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            body = await reader.readexactly(length)
    except (OSError, TimeoutError, EOFError) as error:
        raise Refusal(500, f"{target.name} broke off: {error}") from error
    writer.close()
    return Answer(status, body, passed)


def _of_node(
    target: Target, status: int, headers: dict[bytes, bytes], kind: tuple[bytes, bytes]
) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of a node's answer that are passed on; raises Refusal(500) for what is no answer of that node."""
    is_stated = any(name == HEADER.decode() for name, _ in target.headers or ())
    if is_stated and headers.get(NODE_HEADER, b"").decode("latin-1") != target.node_id:
        raise Refusal(500, f"what answers at {target.address} is not {target.name}")
    if not (200 <= status < 300 or 400 <= status < 600):
        raise Refusal(500, f"{target.name} answered with status {status}")
    return (kind if status < 300 else TEXT, *((name, value) for name, value in headers.items() if name in _OF_NODES))


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = split_address(target.address)
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(host, port, ssl=target.tls, limit=HEAD_BYTES_MAX)
        if target.tls is not None:
            check_role(writer, target.roles)
        return reader, writer


def _head(context: Context, target: Target) -> bytes:
    query = f"?{context.raw_query.decode('latin-1')}" if context.raw_query else ""
    lines = [f"{context.method} {quote(context.path)}{query} HTTP/1.1", f"Host: {target.address}"]
    if target.is_last:
        lines.append("X-Yurt-Proxied: 1")
    lines += [f"Content-Length: {len(context.body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in target.headers or ()]
    for name in _KEPT if target.headers is not None else (*_SECRETS, *_KEPT):
        if name in context.headers:
            lines.append(f"{name.decode('latin-1')}: {context.headers[name].decode('latin-1')}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def signed(answer: Answer, context: Context) -> Answer:
    """The answer to a request that was handed over, with the ID of the node that answers."""
    agent = context.server.node_agent
    if agent is None or PROXIED not in context.headers:
        return answer
    return answer.with_headers((NODE_HEADER, agent.node.id.encode()))


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of an answer; raises EOFError, ValueError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("the answer's head is too large") from error
    first, *lines = head[:-4].split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    _, status, *_ = first.split(b" ", 2)
    if not 100 <= int(status) < 600:
        raise ValueError(f"the answer has status {int(status)}")
    return int(status), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncGenerator[bytes, None]:
    try:
        while part := await reader.read(PART_BYTES):
            yield part
    finally:
        writer.close()


async def _exactly(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int
) -> AsyncGenerator[bytes, None]:
    """The body of a known length; raises ConnectionError if not all of it comes."""
    try:
        while length:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    part = await reader.read(min(length, PART_BYTES))
            except TimeoutError:
                part = b""
            if not part:
                raise ConnectionError("the answer broke off")
            length -= len(part)
            yield part
    finally:
        writer.close()


class _Chunks:
    """Takes the pieces of a chunked body from the parser."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_whole = False

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.is_whole = True


async def _chunked(parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The body in chunked parts; raises ConnectionError if it does not come to its end."""
    chunks = _Chunks()
    parser = httptools.HttpResponseParser(chunks)
    parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    async with aclosing(parts):
        async for part in parts:
            try:
                parser.feed_data(part)
            except httptools.HttpParserError as error:
                raise ConnectionError(f"the answer's chunks cannot be read: {error}") from None
            for piece in chunks.pieces:
                yield piece
            chunks.pieces.clear()
            if chunks.is_whole:
                return
    raise ConnectionError("the answer broke off")
