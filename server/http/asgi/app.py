"""The ASGI application: our dispatcher in front, Starlette behind it for what is no API path."""

from __future__ import annotations

import asyncio
import gzip
import html
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from yurt.fsm.errors import Refusal
from yurt.server.acl.workloads import key_set
from yurt.server.http.asgi import assets, guard, problems, websocket
from yurt.server.http.asgi.bodies import CHUNK_BYTES, Bodies
from yurt.server.http.asgi.client_connection import client_connection
from yurt.server.http.asgi.context import JSON, VARY, Answer, Context, FileAnswer, text
from yurt.server.http.asgi.exchange import send_file
from yurt.server.http.asgi.pretty import indented
from yurt.server.http.asgi.streams import send_stream
from yurt.server.http.asgi.uploads import Admit, BodyRoom, ClientGone, Unread, read_body
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.http.routing.table import ROUTES, body_limit
from yurt.server.platform.address import client_of
from yurt.server.server import Server

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def _to_ui(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/ui/{query}", status_code=307)


async def _describe(_request: Request) -> Response:
    from yurt.server.http.asgi.openapi import description  # few servers are asked for it: their start is not held up

    found = await asyncio.to_thread(description, ROUTES)  # the first time it takes some 80 ms
    return Response(found, media_type="application/json", headers={"Vary": "Accept-Encoding"})


async def _no_discovery(_request: Request) -> Response:
    return Response("OIDC Discovery endpoint disabled", status_code=404, media_type="text/plain")


async def _to_job(_request: Request) -> Response:
    return RedirectResponse("/v1/job/", status_code=307)


async def _nothing(_request: Request) -> Response:
    return Response(status_code=404, headers={"Vary": "Accept-Encoding"})


KEYS_SECONDS = 3600
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


def _pages() -> list[Route]:
    methods = ["GET", "HEAD"]
    return [
        Route("/", _to_ui, methods=METHODS),
        Route("/ui", _to_ui, methods=methods),
        Route("/ui/{path:path}", assets.serve, methods=methods),
        Route("/docs", assets.describe, methods=methods),
    ]


def fallback(server: Server) -> Starlette:
    """Return the application that serves all paths beside the API."""

    async def keys(_request: Request) -> Response:
        headers = {"Vary": "Accept-Encoding", "Cache-Control": f"max-age={KEYS_SECONDS}"}
        found = key_set(server.view(), server.keyring.keystore)
        return Response(found, media_type="application/json", headers=headers)

    return Starlette(
        routes=[
            *(_pages() if server.config.ui.enabled else ()),
            Route("/v1/job", _to_job, methods=METHODS),
            Route("/.well-known/jwks.json", keys, methods=["GET"]),
            Route("/.well-known/openid-configuration", _no_discovery, methods=["GET"]),
            Route("/openapi.json", _describe, methods=["GET"]),
            Route("/{path:path}", _nothing, methods=METHODS),
        ]
    )


class App:
    """Serves one server's API."""

    def __init__(self, server: Server, dispatcher: Dispatcher) -> None:
        self._server, self._dispatcher, self._fallback = server, dispatcher, fallback(server)
        self._bodies = Bodies(server.turns)
        self._body_bytes_max = server.config.limits.http_body_bytes_max
        self._room = BodyRoom(server.config.limits.http_bodies_bytes_max, self._body_bytes_max)
        self._sites, self._extra = guard.sites(server.config), guard.answer_headers(server.config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "websocket":
            await websocket.serve(self._server, scope, receive, send)
            return
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        path: str = scope["path"]
        headers = dict(scope["headers"])
        if (refusal := self._refusal(scope["method"], path, headers)) is not None:
            await self._send_refusal(scope, send, text(refusal.status, refusal.text))
            return
        raw: bytes = scope.get("raw_path") or path.encode()
        if (b"//" in raw or b"/../" in raw or b"/./" in raw) and path.startswith("/"):
            await self._send(scope, send, _redirected(_cleaned(raw, scope["query_string"])))
            return
        if not path.startswith("/v1/") or path == "/v1/job":
            await self._fallback(scope, receive, send)
            return
        limit = min(body_limit(scope["method"], path), self._body_bytes_max)
        address = scope["client"][0] if scope.get("client") else ""
        with self._room.reserve(client_of(address)) as reserved:
            context = Context(
                self._server, scope["method"], path, scope["query_string"], headers, b"",
                receive=None if limit else receive, address=address, give_back=reserved.give_back,
                connection=client_connection(receive),
            )  # fmt: skip
            read = partial(read_body, receive, headers, limit, reserved)
            if limit and not await self._take_body(scope, send, context, read):
                return
            answer = await self._dispatcher.answer(context)
            context.drop_body()
        await self._respond(scope, receive, send, context, answer)

    async def _respond(self, scope: Scope, receive: Receive, send: Send, context: Context, answer: Answer) -> None:
        """Send an answer as the client wants it; nothing is held for the request meanwhile."""
        headers = context.headers
        if answer.stream is not None:
            headers_sent = [*answer.headers, VARY, *self._extra]
            await send_stream(receive, send, status=answer.status, headers=headers_sent, pieces=answer.stream)
            return
        if answer.status >= 400 and problems.is_asked_for(headers.get(b"accept", b"")) and not _is_encoded(answer):
            answer = problems.as_problem(answer, context.path)
        if "pretty" in context.query and context.query["pretty"] != "0":
            answer = await self._pretty(context, answer)
        encoding = b"" if _is_encoded(answer) else _encoding(headers.get(b"accept-encoding", b""))
        if answer.rows is None and len(answer.body) <= CHUNK_BYTES:
            await self._send(scope, send, answer, encoding)
            return
        await self._bodies.send(
            scope, receive, send, status=answer.status, headers=[*answer.headers, VARY, *self._extra],
            body=answer.body if answer.rows is None else answer.rows, encoding=encoding,
        )  # fmt: skip

    async def _take_body(
        self, scope: Scope, send: Send, context: Context, read: Callable[[Admit], Awaitable[bytes]]
    ) -> bool:
        """Read a request's body; False if the request has had its answer, or its client is gone."""
        try:
            context.body = await read(partial(self._dispatcher.admit, context))
        except Unread as unread:
            await self._send_refusal(scope, send, unread.answer)
            return False
        except ClientGone:
            return False
        return True

    def end_waiting(self) -> None:
        """Answer every blocking query now: the server stops."""
        self._dispatcher.reads.end_waiting()

    def _refusal(self, method: str, path: str, headers: dict[bytes, bytes]) -> Refusal | None:
        """Return the refusal of a request that a browser's page may not make, before its body is read; else None."""
        if (refusal := self._sites.host_refusal(headers)) is not None:
            return refusal
        return guard.page_refusal(self._sites, method, path, headers) if path.startswith("/v1/") else None

    async def _send_refusal(self, scope: Scope, send: Send, answer: Answer) -> None:
        wanted = problems.is_asked_for(dict(scope["headers"]).get(b"accept", b""))
        await self._send(scope, send, problems.as_problem(answer, scope["path"]) if wanted else answer)

    async def _pretty(self, context: Context, answer: Answer) -> Answer:
        """JSON indented by four spaces, with a newline at the end; as it is if other work leaves no room."""
        if answer.rows is not None:
            return Answer(answer.status, b"", answer.headers, rows=answer.rows.pretty())
        if JSON not in answer.headers or not answer.body or _is_encoded(answer):
            return answer
        work = partial(_indented, answer.body)
        try:
            body = await context.beside_loop(work) if len(answer.body) > CHUNK_BYTES else work()
        except Refusal:
            return answer
        return Answer(answer.status, body, answer.headers)

    async def _send(self, scope: Scope, send: Send, answer: Answer, encoding: bytes = b"") -> None:
        body, headers = answer.body, [*answer.headers, VARY, *self._extra]
        if isinstance(answer, FileAnswer):
            await send_file(send, answer, headers)
            return
        if encoding and body:
            body = gzip.compress(body, 1) if encoding == b"gzip" else zlib.compress(body, 1)
            headers.append((b"content-encoding", encoding))
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _redirected(location: bytes) -> Answer:
    link = b'<a href="%b">Temporary Redirect</a>.\n\n' % html.escape(location.decode("latin-1")).encode("latin-1")
    return Answer(307, link, ((b"content-type", b"text/html; charset=utf-8"), (b"location", location)))


def _cleaned(raw: bytes, query: bytes) -> bytes:
    parts: list[bytes] = []
    for part in raw.split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    end = b"/" if raw.endswith(b"/") and parts else b""
    return b"/" + b"/".join(parts) + end + (b"?" + query if query else b"")


def _is_encoded(answer: Answer) -> bool:
    """Whether the body is compressed already, as one that a node answered for this server may be."""
    return any(name == b"content-encoding" for name, _ in answer.headers)


def _encoding(accepted: bytes) -> bytes:
    """How the body is compressed; deflate, in the zlib format as HTTP calls it, for clients that do not take gzip."""
    if b"gzip" in accepted:
        return b"gzip"
    return b"deflate" if b"deflate" in accepted else b""


def _indented(body: bytes) -> bytes:
    return indented(body) + b"\n"
