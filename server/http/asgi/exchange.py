"""Answers out, over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from yurt.server.http.asgi.context import VARY, Answer, FileAnswer
from yurt.server.http.asgi.streams import send_stream

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
FILE_PART_BYTES = 256 << 10


async def send_answer(scope: Scope, receive: Receive, send: Send, answer: Answer, extra: Headers) -> None:
    """Send it as it is, whole or piece by piece, with the headers that every answer has."""
    headers = [*answer.headers, VARY, *extra]
    if answer.stream is not None:
        await send_stream(receive, send, status=answer.status, headers=headers, pieces=answer.stream)
        return
    headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


async def send_file(send: Send, answer: FileAnswer, headers: list[tuple[bytes, bytes]]) -> None:
    """As fast as the client reads."""
    headers.append((b"content-length", b"%d" % answer.size))
    with answer.file as file:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        while part := await asyncio.to_thread(file.read, FILE_PART_BYTES):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
