"""The WebSocket endpoints: commands beside a task, and a job's actions (spec node-agent §17).

The upgrade succeeds always, but for a page of another origin; errors come as a close frame with the text as reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from yurt.fsm.errors import Refusal, YurtError
from yurt.fsm.lang.strconv import parse_bool
from yurt.fsm.store.schema import ALLOCATIONS, JOBS
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.task import Action
from yurt.server.acl.need import Need
from yurt.server.client.execute import Session
from yurt.server.client.task_runner import NotRunning
from yurt.server.http.asgi.audited import line_of
from yurt.server.http.asgi.context import Answer, Context
from yurt.server.http.asgi.guard import sites
from yurt.server.http.routes.client import node_of
from yurt.server.http.routing.proxy import CONNECT_SECONDS, Target, target_of
from yurt.server.http.routing.table import find
from yurt.server.raft.transport.certificates import refusal
from yurt.server.server import Server
from yurt.server.telemetry.audit import REFUSAL

log = logging.getLogger("http")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Context, "Socket"], Awaitable[None]]
HANDSHAKE_SECONDS = 10.0
REASON_BYTES_MAX = 123
OF_CLIENT, OF_SERVER = 1008, 1011  # close codes
WITHOUT_ISOLATION = ("raw_exec",)


class Gone(Exception):
    """The client closed the connection."""


class Socket:
    """One WebSocket, as an ASGI application sees it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def accept(self) -> None:
        """Answer the upgrade."""
        await self._receive()  # websocket.connect
        await self._send({"type": "websocket.accept"})

    async def refuse(self) -> None:
        """Answer the upgrade with 403."""
        await self._receive()
        await self._send({"type": "websocket.close"})

    async def text(self) -> str | None:
        """The next frame; None when the client is gone."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        return message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")

    async def send(self, frame: bytes) -> None:
        """Send a text frame."""
        await self._send({"type": "websocket.send", "text": frame.decode()})

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame; its reason is as long as it may be."""
        cut = reason.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore")
        await self._send({"type": "websocket.close", "code": code, "reason": cut})


async def serve(server: Server, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """One WebSocket from its beginning to its end."""
    socket = Socket(receive, send)
    headers = dict(scope["headers"])
    context = Context(
        server, "GET", scope["path"], scope["query_string"], headers, b"",
        address=scope["client"][0] if scope.get("client") else "",
    )  # fmt: skip
    found = _route(scope["path"])
    known = sites(server.config)
    is_foreign = known.host_refusal(headers) or known.page_refusal(headers, opens_socket=True)
    if is_foreign is not None or found is None:
        await socket.refuse()
        return
    handler, context.need, context.arguments = found
    context.route = scope["path"]
    audit, is_noted = server.audit, False
    await socket.accept()
    try:
        await _handshake(context, socket)
        await server.authorize(context)
        if audit is not None:
            if audit.refuses:
                raise Refusal(500, REFUSAL)
            audit.record(line_of(context, Answer(101)))
            is_noted = True
        await handler(context, socket)  # its end is the connection's, without a close frame
    except Gone:
        pass
    except Refusal as refusal:
        if audit is not None and not is_noted:
            audit.record(line_of(context, Answer(refusal.status)))
        await socket.close(OF_CLIENT if refusal.status < 500 else OF_SERVER, refusal.text)
    except YurtError as error:
        await socket.close(OF_SERVER, str(error))
    except Exception:
        log.exception("a websocket broke", extra={"path": scope["path"]})
        await socket.close(OF_SERVER, "internal error")


def _route(path: str) -> tuple[Handler, Need, tuple[str, ...]] | None:
    """Return a path's handler, its permission and the path's arguments; None if that is no WebSocket."""
    try:
        found = find(path)
    except Refusal:
        return None
    handler = _HANDLERS.get(found[0].path) if found is not None else None
    if found is None or handler is None:
        return None
    return handler, found[0].need("GET"), found[1]


async def _handshake(context: Context, socket: Socket) -> None:
    """Browsers cannot set headers, so they send their token first."""
    if context.query.get("ws_handshake", "") != "true":
        return
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            text = await socket.text()
    except TimeoutError:
        raise Refusal(400, "the handshake did not come in time") from None
    if text is None:
        raise Gone
    try:
        given = orjson.loads(text)
        version, token = given.get("version"), str(given.get("auth_token") or "")
    except (ValueError, AttributeError):
        raise Refusal(400, f"unexpected handshake value: {text}") from None
    if version != 1:
        raise Refusal(400, f"unexpected handshake value: {text}")
    if token:
        context.headers[b"x-nomad-token"] = token.encode()


async def _execute(context: Context, socket: Socket) -> None:
    """/v1/client/allocation/:id/exec."""
    query, alloc_id = context.query, context.arguments[0]
    task = query.get("task", "")
    if not task:
        raise Refusal(400, "must provide task name")
    command = _command(query.get("command", ""))
    tty = _tty(context)
    node = node_of(context, alloc_id)
    await _check_isolation(context, alloc_id, task)
    if node is not None:
        await _relay(context, socket, node)
        return
    await _run(context, socket, alloc_id, task, command, tty=tty)


def _command(text: str) -> list[str]:
    try:
        found = orjson.loads(text or "[]")
    except ValueError as error:
        raise Refusal(500, f"failed to marshal command into json: {error}") from None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Refusal(500, "failed to marshal command into json: no list of texts")
    if not found:
        raise Refusal(400, "command is not present")
    return found


def _tty(context: Context) -> bool:
    value = context.query.get("tty", "")
    try:
        return bool(value) and parse_bool(value)
    except ValueError as error:
        raise Refusal(500, f"tty value is not a boolean: {error}") from None


async def _act(context: Context, socket: Socket) -> None:
    """/v1/job/:id/action: a command that the job's author wrote down."""
    query, job_id, view = context.query, context.arguments[0], context.server.view()
    alloc_id, task, name = query.get("allocID", ""), query.get("task", ""), query.get("action", "")
    if not alloc_id:
        raise Refusal(400, "missing AllocID")
    if not task:
        raise Refusal(400, "must provide task name")
    if not name:
        raise Refusal(400, "command is not present")
    tty = _tty(context)
    context.allow(context.namespace)
    if view.get(JOBS, (context.namespace, job_id)) is None:
        raise Refusal(404, f"job {job_id} not found in namespace {context.namespace}")
    node = node_of(context, alloc_id)
    await _check_isolation(context, alloc_id, task)
    action = _action(context, alloc_id, task, name)
    if node is not None:
        await _relay(context, socket, node)
        return
    await _run(context, socket, alloc_id, task, [action.command, *(action.args or ())], tty=tty, interpolated=True)


async def _check_isolation(context: Context, alloc_id: str, task: str) -> None:
    """A command beside a task that nothing keeps apart from the node needs a right of its own (spec acl §10)."""
    allocation = context.server.view().get(ALLOCATIONS, alloc_id)
    group = allocation.job.group(allocation.task_group) if allocation is not None and allocation.job else None
    drivers = {one.driver for one in (group.tasks or ()) if one.name == task} if group is not None else set()
    if allocation is not None and not drivers.isdisjoint(WITHOUT_ISOLATION):
        await context.server.permit(context, allocation.namespace, "alloc-node-exec")


def _action(context: Context, alloc_id: str, task: str, name: str) -> Action:
    allocation = context.server.view().get(ALLOCATIONS, alloc_id)
    job = allocation.job if allocation is not None else None
    group = job.group(allocation.task_group) if job is not None and allocation is not None else None
    found = next((one for one in (group.tasks or ()) if one.name == task), None) if group is not None else None
    if found is None:
        raise Refusal(404, f"task {task} not found in allocation {alloc_id}")
    action = next((one for one in found.actions or () if one.name == name), None)
    if action is None:
        raise Refusal(404, f"action {name} not found in task {task}")
    return action


async def _run(
    context: Context,
    socket: Socket,
    alloc_id: str,
    task: str,
    command: list[str],
    *,
    tty: bool,
    interpolated: bool = False,
) -> None:
    agent = context.server.node_agent
    assert agent is not None
    runner = agent.runners.get(alloc_id)
    if runner is None:
        raise Refusal(404, f'Unknown allocation "{alloc_id}"')
    if task not in runner.runners:
        raise Refusal(500, "task not found")
    if not agent.surroundings.remote_exec:
        raise Refusal(403, "exec is disabled on this node")
    try:
        start = runner.runners[task].description()
    except NotRunning:
        raise Refusal(404, f'task "{task}" is not running.') from None
    if interpolated:
        command = [runner.runners[task].interpolated(one) for one in command]
    session = Session(start, command, tty=tty)
    await session.start()
    await session.run(socket.text, socket.send)


def _checked(target: Target) -> type[ClientConnection]:
    """Connections on which nothing is sent, no token above all, unless the other side has the target's role."""

    class Checked(ClientConnection):
        async def handshake(self, *args: Any, **kwargs: Any) -> None:
            if target.tls is not None and target.roles:
                certificate = self.transport.get_extra_info("peercert")
                if reason := refusal(certificate, *target.roles):
                    self.transport.abort()
                    raise OSError(reason)
            await super().handshake(*args, **kwargs)

    return Checked


async def _relay(context: Context, socket: Socket, node: Node) -> None:
    """Hand the frames over to the node, both ways."""
    parts = context.raw_query.decode("latin-1").split("&")
    query = "&".join(part for part in parts if not part.startswith("ws_handshake="))
    target = await target_of(context, node, query.encode("latin-1"))
    headers = {"X-Yurt-Proxied": "1", **dict(target.headers or ())}
    try:
        upstream = await connect(
            f"{'wss' if target.tls else 'ws'}://{target.address}{quote(context.path)}?{query}",
            additional_headers=headers, ssl=target.tls, open_timeout=CONNECT_SECONDS, compression=None, proxy=None,
            create_connection=_checked(target),
        )  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise Refusal(500, f"{target.name} does not answer at {target.address}: {error}") from error
    async with upstream:
        back = asyncio.ensure_future(_back(upstream, socket))
        forth = asyncio.ensure_future(_forth(upstream, socket))
        await asyncio.wait((back, forth), return_when=asyncio.FIRST_COMPLETED)
        for task in (back, forth):
            task.cancel()
        await asyncio.gather(back, forth, return_exceptions=True)
    if upstream.close_code in (OF_CLIENT, OF_SERVER):
        raise Refusal(400 if upstream.close_code == OF_CLIENT else 500, upstream.close_reason or "")


async def _back(upstream: ClientConnection, socket: Socket) -> None:
    async for frame in upstream:
        await socket.send(frame if isinstance(frame, bytes) else frame.encode())


async def _forth(upstream: ClientConnection, socket: Socket) -> None:
    with contextlib.suppress(ConnectionClosed):
        while (text := await socket.text()) is not None:
            await upstream.send(text)


_HANDLERS: dict[str, Handler] = {"/v1/client/allocation/:id/exec": _execute, "/v1/job/:id/action": _act}
