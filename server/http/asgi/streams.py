"""Answers without an end: sent piece by piece until the stream, the client or its patience ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
WRITE_SECONDS_MAX = 40.0
_BYTES_MAX = 1 << 62


async def send_stream(
    receive: Receive,
    send: Send,
    *,
    status: int,
    headers: list[Any],
    pieces: AsyncIterator[bytes],
) -> None:
    """Send the pieces; the end of the connection is the end of the body, so it has neither length nor chunks."""
    cycle = getattr(receive, "__self__", None)  # not in the scope: it would hold itself, garbage for the collector
    if isinstance(cycle, RequestResponseCycle):
        cycle.chunked_encoding, cycle.expected_content_length, cycle.keep_alive = False, _BYTES_MAX, False
    await send({"type": "http.response.start", "status": status, "headers": headers})
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        while (piece := await _next(pieces, gone)) is not None:
            message = {"type": "http.response.body", "body": piece, "more_body": True}
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await send(message)
    except TimeoutError:
        pass  # the client does not read: it loses the connection
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
    if isinstance(cycle, RequestResponseCycle):
        cycle.expected_content_length = 0
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _next(pieces: AsyncIterator[bytes], gone: asyncio.Future[None]) -> bytes | None:
    """The next piece; None at the end or if the client is gone."""
    piece = asyncio.ensure_future(anext(pieces, None))
    try:
        await asyncio.wait((piece, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not piece.done():
            piece.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await piece
    return None if piece.cancelled() else piece.result()
