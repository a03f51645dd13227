"""The check of a large body's sender before the body is read (S8). The full permission is checked afterwards."""

from __future__ import annotations

import asyncio

from yurt.fsm.acl.rights import NONE
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import NODES
from yurt.fsm.store.view import View
from yurt.fsm.structs.acl import secret_digest
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.context import Context
from yurt.server.http.routing.route import Route
from yurt.server.raft.errors import NotLeader

FRESH_SECONDS = 5.0


async def check_sender(context: Context, route: Route) -> None:
    """Let a caller send a large body, or raise Refusal(403).

    A caller that this server's state does not know is looked for again once the state has everything acknowledged:
    its token may be a moment old.
    """
    server = context.server
    if not server.authority.enabled:
        return
    context.need = route.need(context.method)
    try:
        _check(context, server.view())
    except Refusal as refusal:
        try:
            async with asyncio.timeout(FRESH_SECONDS):
                await server.read_ready()
        except (NotLeader, TimeoutError):
            raise refusal from None
        _check(context, server.view())


def _check(context: Context, view: View) -> None:
    kind = context.need.kind
    if kind == "secret" and context.secret and view.find(NODES, "secret", secret_digest(context.secret)):
        return  # whose node it is, the handler compares
    context.identity = context.identify(view, None)
    context.need.check(context)
    if kind in ("nothing", "its", "own", "secret") and context.identity.rights is NONE:
        raise denied()
