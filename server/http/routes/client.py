"""/v1/client/…: answered by the node of an allocation: this process, or one that is asked (spec node-agent §16)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ALLOCATIONS, NODES
from yurt.fsm.structs.node import Node
from yurt.server.client.api import OF_ALLOCATIONS, OF_NODES
from yurt.server.http.asgi.context import JSON, TEXT, Answer, Context
from yurt.server.http.routes.allocations import LOOKUP
from yurt.server.http.routes.lookup import check_uuid
from yurt.server.http.routing.proxy import proxied, target_of

Handler = Callable[[Context], Awaitable[Answer]]
NO_PATH = "No path to node"


def node_of(context: Context, alloc_id: str) -> Node | None:
    """The node that has an allocation; None if it is this process's own. Raises Refusal."""
    check_uuid(alloc_id, LOOKUP)
    agent, view = context.server.node_agent, context.server.view()
    if agent is not None and (runner := agent.runners.get(alloc_id)) is not None:
        context.allow(runner.allocation.namespace)
        return None
    allocation = view.get(ALLOCATIONS, alloc_id)
    if allocation is None:
        raise Refusal(404, f'Unknown allocation "{alloc_id}"')
    context.allow(allocation.namespace)
    if agent is not None and allocation.node_id == agent.node.id:
        return None
    return reachable(view.get(NODES, allocation.node_id))


def reachable(node: Node | None) -> Node:
    """The node, if it has told where it listens; raises Refusal(404)."""
    if node is None or not node.http_addr:
        raise Refusal(404, NO_PATH)
    return node


def _kind(context: Context, name: str) -> tuple[bytes, bytes]:
    """The content type of an operation's answers, whatever a node says."""
    is_plain = name == "logs" and context.query.get("plain", "").lower() in ("1", "t", "true")
    return TEXT if is_plain or name in ("cat", "readat", "stream") else JSON


def of_allocation(name: str) -> Handler:
    """Requests about an allocation's files, logs, tasks, by the operation's name."""

    async def answer(context: Context) -> Answer:
        alloc_id = context.arguments[0]
        if not alloc_id:
            raise Refusal(400, "must provide a valid alloc id")
        node = node_of(context, alloc_id)
        if node is not None:
            return await proxied(context, await target_of(context, node), kind=_kind(context, name))
        agent = context.server.node_agent
        assert agent is not None
        return await OF_ALLOCATIONS[name](agent, context)

    answer.__doc__ = OF_ALLOCATIONS[name].__doc__
    return answer


def of_node(name: str) -> Handler:
    """Requests about a node itself: `node_id` names it, else it is this process's own."""

    async def answer(context: Context) -> Answer:
        agent, asked = context.server.node_agent, context.query.get("node_id", "")
        if agent is not None and asked in ("", agent.node.id):
            return await OF_NODES[name](agent, context)
        if not asked:
            raise Refusal(400, "No local Node and node_id not provided")
        check_uuid(asked, "node lookup failed: ")
        node = context.server.view().get(NODES, asked)
        if node is None:
            raise Refusal(404 if name == "stats" else 500, f"Unknown node {asked}")
        return await proxied(context, await target_of(context, reachable(node)))

    answer.__doc__ = OF_NODES[name].__doc__
    return answer


async def no_such_method(_context: Context) -> Answer:
    """/v1/client/fs/ with another word."""
    raise Refusal(404, "Invalid method")


async def no_such_resource(_context: Context) -> Answer:
    """/v1/client/allocation/ with another ending."""
    raise Refusal(404, "resource not found")


async def no_websocket(_context: Context) -> Answer:
    """A WebSocket endpoint asked without an upgrade."""
    raise Refusal(500, "websocket connection not found in context")
