"""A small HTTP client on asyncio: one connection per request, with a deadline, perhaps TLS."""

from __future__ import annotations

import asyncio
import ssl

from yurt.fsm.errors import YurtError
from yurt.server.raft.transport.certificates import check_role

HEAD_BYTES_MAX = 64 << 10
BODY_BYTES_MAX = 256 << 20


class Unreachable(YurtError):
    """The server gave no answer, or none that is HTTP."""


Answered = tuple[int, dict[str, str], bytes]


async def request(
    address: str,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    seconds: float,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
    roles: tuple[str, ...] = (),
) -> Answered:
    """Status, headers in lower case and body of an answer from HOST:PORT; raises `Unreachable`.

    `server_name` is the name that the certificate must have, if it is not the host's; `roles` are names of which it
    must have one besides.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _request(address, method, target, body, headers or {}, tls, server_name, roles)
    except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
        raise Unreachable(f"{method} {address}{target}: {type(error).__name__}: {error}") from error


async def _request(
    address: str,
    method: str,
    target: str,
    body: bytes,
    headers: dict[str, str],
    tls: ssl.SSLContext | None,
    server_name: str,
    roles: tuple[str, ...],
) -> Answered:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(
        host.strip("[]"), int(port), ssl=tls, server_hostname=server_name or None, limit=HEAD_BYTES_MAX
    )
    try:
        if tls is not None:
            check_role(writer, roles)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {address}", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        _, text, *_ = head[0].split(" ", 2)
        status = int(text)
        pairs = (line.partition(":") for line in head[1:] if line)
        found = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(found.get("content-length", "0"))
        if length > BODY_BYTES_MAX:
            raise ValueError(f"the answer has {length} bytes")
        return status, found, await reader.readexactly(length)
    finally:
        writer.close()
