"""A request that another server answers: handed to the leader over the peers' connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from yurt.server.http.asgi.context import TEXT, Answer, Context
from yurt.server.raft.errors import OutcomeUnknown
from yurt.server.server import Server
from yurt.server.telemetry.tracing import CARRIED

METHOD = "http"
PREFIX = b"rpc error: "  # what clients know errors by that another server found
FORWARD_SECONDS_MAX = 330.0
DEPOSED_SECONDS = 0.1  # for the answer of a server that does not lead any more


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """A request on its way."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    address: str = ""  # of the client, as the server saw it that it asked


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """Its answer on the way back."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]


_request = msgspec.msgpack.Decoder(Forwarded)
_answer = msgspec.msgpack.Decoder(Answered)
_KEPT = (b"x-nomad-token", b"authorization", *CARRIED)
_INSIDE = b"x-yurt-inside"  # only between servers: it is not among what is kept of a client's headers


async def forward(context: Context, server_id: str) -> Answer:
    """The leader's answer; raises `NotSent` (try again) or `OutcomeUnknown` (perhaps carried out)."""
    kept = {name: value for name, value in context.headers.items() if name in _KEPT}
    if context.is_inside:
        kept[_INSIDE] = b"1"
    request = Forwarded(context.method, context.path, context.raw_query, kept, context.body, context.address)
    call = asyncio.ensure_future(
        context.server.transport.call(server_id, METHOD, msgspec.msgpack.encode(request), timeout=FORWARD_SECONDS_MAX)
    )
    try:
        await asyncio.wait((call, context.server.leader_changed()), return_when=asyncio.FIRST_COMPLETED)
        if not call.done():  # another server leads: what the old one knows comes soon or not at all
            await asyncio.wait((call,), timeout=DEPOSED_SECONDS)
        if not call.done():
            raise OutcomeUnknown
        answer = _answer.decode(call.result())
    finally:
        call.cancel()
        del call  # an error's traceback has this frame: together they would wait for the collector
    is_error = answer.status == 500 and TEXT in answer.headers
    return Answer(answer.status, PREFIX + answer.body if is_error else answer.body, tuple(answer.headers))


def serve_forwarded(server: Server, dispatch: Callable[[Context], Awaitable[Answer]]) -> None:
    """Answer what other servers hand over; one that does not lead any more says that it did nothing."""

    async def handle(payload: bytes) -> bytes:
        request = _request.decode(payload)
        context = Context(
            server,
            request.method,
            request.path,
            request.query,
            request.headers,
            request.body,
            forwarded=True,
            address=request.address,
        )
        context.is_inside = _INSIDE in request.headers
        answer = await dispatch(context)
        body = await answer.whole(server.turns, context.client)
        return msgspec.msgpack.encode(Answered(answer.status, body, list(answer.headers)))

    server.transport.serve(METHOD, handle)
