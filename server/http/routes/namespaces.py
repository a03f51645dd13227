"""Namespaces (spec cluster §7)."""

from __future__ import annotations

import re

import msgspec

from yurt.fsm.commands import DeleteNamespace, UpsertNamespace
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.multierror import multierror
from yurt.fsm.store.schema import NAMESPACES
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.namespace import Namespace
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, index_header
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, stored
from yurt.server.http.routes.lookup import missing

_NAMESPACE = re.compile(r"[a-zA-Z0-9-]{1,128}\Z")
DESCRIPTION_MAX = 256


def list_namespaces(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/namespaces: those in which something is allowed."""
    sees = context.identity.rights.sees_namespace
    rows = (row if sees(row.name) else None for row in view.scan(NAMESPACES, prefix=options.prefix or None))
    return Listing(rows, stored(context, NAMESPACES), view.table_index(NAMESPACES), ((NAMESPACES, None),))


def read_namespace(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/namespace/:name."""
    name = context.arguments[0]
    if not name:
        raise Refusal(400, "Missing Namespace Name")
    if not context.identity.rights.sees_namespace(name):
        raise denied()
    row = view.get(NAMESPACES, name)
    if row is None:
        return missing("Namespace not found", view.table_index(NAMESPACES), (NAMESPACES, name))
    body = context.server.machine.store.encoded(NAMESPACES, row)
    return Found(body, row.modify_index, ((NAMESPACES, name),))


async def write_namespace(context: Context) -> Answer:
    """PUT /v1/namespace and /v1/namespace/:name."""
    given = msgspec.convert(decode_body(context.body, Namespace), Namespace)
    if context.arguments and context.arguments[0] and given.name != context.arguments[0]:
        raise Refusal(400, "Namespace name does not match request path")
    errors = []
    if not _NAMESPACE.match(given.name):
        errors.append(f'invalid name "{given.name}". Must match regex ^[a-zA-Z0-9-]{{1,128}}$')
    if len(given.description) > DESCRIPTION_MAX:
        errors.append(f"description longer than {DESCRIPTION_MAX}")
    if given.node_pool_configuration is not None:
        errors.append("invalid node pool configuration: Node Pools Governance is unlicensed.")
    if errors:
        raise Refusal(500, f'Invalid namespace "{given.name}": {multierror(errors)}')
    if given.quota:
        raise Refusal(500, f'namespace "{given.name}" using non-existent quota "{given.quota}"')
    own = replace(given, hash=None, create_index=0, modify_index=0)
    result = await context.server.propose(UpsertNamespace(now_ns=context.server.now_ns(), namespace=own))
    return Answer(200, b"", (index_header(result.index),))


async def delete_namespace(context: Context) -> Answer:
    """DELETE /v1/namespace/:name."""
    server = context.server
    result = await server.propose(
        DeleteNamespace(now_ns=server.now_ns(), name=context.arguments[0], region=server.region)
    )
    return Answer(200, b"", (index_header(result.index),))
