"""The HTTP server of an agent that is only a node: its allocations here, everything else through the servers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import orjson

from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ALLOCATIONS, JOBS
from yurt.server.acl.authority import DENIED, Identity, denied
from yurt.server.acl.statements import HEADER, BadStatement, key_id_of
from yurt.server.client.agent import NodeAgent
from yurt.server.client.gate import Gate, SigningKeys
from yurt.server.config.agent import AgentConfig
from yurt.server.http.asgi import guard, websocket
from yurt.server.http.asgi.context import Answer, Context, json_answer, text
from yurt.server.http.asgi.exchange import send_answer
from yurt.server.http.asgi.uploads import BodyRoom, ClientGone, Unread, read_body
from yurt.server.http.routing.proxy import PROXIED, Target, proxied, signed
from yurt.server.http.routing.route import JOB_BYTES_MAX
from yurt.server.http.routing.table import body_limit, find
from yurt.server.platform.address import client_of
from yurt.server.platform.supervision import failed_tasks

if TYPE_CHECKING:
    from yurt.server.server import Server

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
log = logging.getLogger("http")

OWN = "/v1/client/"
OF_AGENT = ("/v1/agent/monitor", "/v1/agent/host")


class NodeView:
    """The part of the state that a node has: its own allocations and their jobs."""

    def __init__(self, agent: NodeAgent) -> None:
        self._agent = agent

    def get(self, table: Any, key: Any) -> Any:
        """An allocation of this node, or a job that has one; None for anything else."""
        if table is ALLOCATIONS:
            runner = self._agent.runners.get(key)
            return runner.allocation if runner is not None else None
        if table is JOBS:
            rows = (one.allocation for one in self._agent.runners.values())
            return next((one.job for one in rows if (one.namespace, one.job_id) == key), None)
        return None


class NodeServer:
    """In the place of a server for those handlers that ask only for the node."""

    def __init__(self, agent: NodeAgent, config: AgentConfig) -> None:
        self.node_agent, self.config = agent, config
        self.audit = None  # servers keep it
        self._gate = Gate(agent.operations.authorize, asks_always=config.acl.enabled)
        self._keys = SigningKeys(agent.operations.signing_keys)

    def view(self) -> NodeView:
        """Return the node's own state."""
        return NodeView(self.node_agent)

    async def authorize(self, context: Context) -> None:
        """Go on if a server says, asked or by a statement, that the caller may; raises Refusal(403)."""
        if HEADER in context.headers:
            context.identity = await self._stated(context, context.digest)
            context.need.check(context)
            if context.need.kind == "its":
                context.allow(self._namespace(context))
            return
        await self._gate.check(context.secret, context.need.kind, context.need.any_of, self._namespace(context))

    async def permit(self, context: Context, namespace: str, capability: str) -> None:
        """Go on if who asks has a capability; raises Refusal(403)."""
        if HEADER in context.headers:
            context.allow(namespace, capability)
            return
        await self._gate.check(context.secret, "its", (capability,), namespace)

    async def admit(self, context: Context) -> None:
        """Go on if a caller may send a large body; raises Refusal(403). Who it is, is looked at once it is there."""
        if HEADER in context.headers:
            await self._stated(context, None)
        elif self.config.acl.enabled and not context.secret:
            raise denied()

    async def _stated(self, context: Context, digest: str | None) -> Identity:
        """Return the caller's identity by a server's statement; raise Refusal(403) for a statement that does not hold.

        `digest` is what the statement calls the request by, None as long as its body is not there.
        """
        text = context.headers[HEADER].decode("latin-1")
        try:
            key = await self._keys.get(key_id_of(text))
            statements = self.node_agent.statements
            statement = statements.read(text, key) if digest is None else statements.check(text, key, digest)
        except BadStatement as error:
            log.warning("statement refused", extra={"path": context.path, "reason": str(error)})
            raise Refusal(403, f"{DENIED}: {error}") from None
        return Identity(statement.subject, statement.rights)

    def _namespace(self, context: Context) -> str:
        """That of the allocation that the request is about."""
        alloc_id = context.query.get("allocID") or next(iter(context.arguments), "")
        runner = self.node_agent.runners.get(alloc_id)
        return runner.allocation.namespace if runner is not None else context.namespace


class NodeApp:
    """The ASGI application; `targets` names the servers, in the order in which they are asked."""

    def __init__(self, agent: NodeAgent, config: AgentConfig, targets: Callable[[], list[Target]]) -> None:
        self._agent, self._targets = agent, targets
        self._own = NodeServer(agent, config)
        self._server = cast("Server", self._own)
        self._body_bytes_max = config.limits.http_body_bytes_max
        self._room = BodyRoom(config.limits.http_bodies_bytes_max, self._body_bytes_max)
        self._sites, self._headers = guard.sites(config), guard.answer_headers(config)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "websocket":
            await websocket.serve(self._server, scope, receive, send)
            return
        headers, method, path = dict(scope["headers"]), scope["method"], scope["path"]
        barred = self._sites.host_refusal(headers) or guard.page_refusal(self._sites, method, path, headers)
        if barred is not None:
            await send_answer(scope, receive, send, text(barred.status, barred.text), self._headers)
            return
        address = scope["client"][0] if scope.get("client") else ""
        with self._room.reserve(client_of(address)) as reserved:
            context = Context(
                self._server, method, path, scope["query_string"], headers, b"", give_back=reserved.give_back
            )
            try:
                if method != "GET":
                    limit = min(body_limit(method, path) or JOB_BYTES_MAX, self._body_bytes_max)
                    admit = partial(self._admit, context)
                    context.body = await read_body(receive, headers, limit, reserved, admit)
            except Unread as unread:
                await send_answer(scope, receive, send, unread.answer, self._headers)
                return
            except ClientGone:
                return
            answer = await self._answered(context)
            context.drop_body()
        await send_answer(scope, receive, send, answer, self._headers)

    async def _admit(self, context: Context) -> Answer | None:
        """Refuse a large body of a caller without a token or a statement that holds: the servers look closer."""
        try:
            await self._own.admit(context)
        except Refusal as refusal:
            return text(refusal.status, refusal.text)
        return None

    async def _answered(self, context: Context) -> Answer:
        try:
            answer = await self._answer(context)
        except Refusal as refusal:
            answer = text(refusal.status, refusal.text)
        return signed(answer, context)

    async def _answer(self, context: Context) -> Answer:
        if context.path == "/v1/agent/health":
            down = self._agent.supervisor.down()
            health = {"client": {"message": failed_tasks(down) if down else "ok", "ok": not down}}
            return text(500 if down else 200, orjson.dumps(health).decode())
        if context.path == "/v1/agent/self":
            return json_answer(orjson.dumps(self._self()))
        asked = context.query.get("node_id", "") in ("", self._agent.node.id) and "server_id" not in context.query
        own = context.path.startswith(OWN) or (context.path in OF_AGENT and asked)
        found = find(context.path) if own else None
        if found is not None:
            route, context.arguments = found
            here = not context.arguments or context.arguments[0] in self._agent.runners
            if here or PROXIED in context.headers:
                context.need = route.need(context.method)
                await self._server.authorize(context)
                reads = context.method == "GET" or (context.method == "POST" and route.reads_by_post)
                handler = route.getter if reads else route.put
                if handler is None:
                    return text(405, "Invalid method")
                return await handler(context)
        return await proxied(context, *self._targets())

    def _self(self) -> dict[str, Any]:
        config, node = self._server.config, self._agent.node
        shown = {
            "BindAddr": config.bind_addr,
            "Client": {"Enabled": True},
            "DataDir": config.data_dir,
            "Datacenter": node.datacenter,
            "NodeName": node.name,
            "Region": config.region,
            "Server": {"Enabled": False},
        }
        stats = {"client": {"node_id": node.id, "num_allocations": str(len(self._agent.runners))}}
        return {"config": shown, "member": {"Name": node.name}, "stats": stats}

    def end_waiting(self) -> None:
        """Nobody waits here: servers do."""
