"""Node pools (spec cluster §7)."""

from __future__ import annotations

import re

import msgspec

from yurt.fsm.commands import DeleteNodePool, UpsertNodePool
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.multierror import multierror
from yurt.fsm.store.schema import NODE_POOLS
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import replace, to_json
from yurt.fsm.structs.node import NodePool
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, index_header
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, stored
from yurt.server.http.routes.lookup import missing
from yurt.server.http.routes.namespaces import DESCRIPTION_MAX

_POOL = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")


def pool_json(pool: NodePool) -> bytes:
    """The encoded pool with its hash, which is not stored."""
    return to_json(replace(pool, hash=pool.content_hash()))


def list_node_pools(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/node/pools: those that may be read."""
    may = context.identity.rights.with_pool
    pools = view.scan(NODE_POOLS, prefix=options.prefix or None)
    rows = (pool if may(pool.name, "read") else None for pool in pools)
    form, watch = stored(context, NODE_POOLS, pool_json), ((NODE_POOLS, None),)
    return Listing(rows, form, view.table_index(NODE_POOLS), watch, options, lambda pool: pool.name)


def read_node_pool(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/node/pool/:name."""
    name = context.arguments[0]
    row = view.get(NODE_POOLS, name)
    if row is None:
        return missing("node pool not found", view.table_index(NODE_POOLS), (NODE_POOLS, name))
    body = context.server.machine.store.encoded(NODE_POOLS, row, pool_json)
    return Found(body, row.modify_index, ((NODE_POOLS, name),))


async def write_node_pool(context: Context) -> Answer:
    """PUT /v1/node/pools and /v1/node/pool/:name."""
    given = msgspec.convert(decode_body(context.body, NodePool), NodePool)
    if context.arguments and context.arguments[0] and given.name != context.arguments[0]:
        raise Refusal(400, "Node pool name does not match request path")
    if not context.identity.rights.with_pool(given.name, "write"):
        raise denied()
    errors = []
    if not _POOL.match(given.name):
        errors.append(f'invalid name "{given.name}", must match regex ^[a-zA-Z0-9-_]{{1,128}}$')
    if len(given.description) > DESCRIPTION_MAX:
        errors.append(f"description longer than {DESCRIPTION_MAX}")
    if errors:
        raise Refusal(400, f'invalid node pool "{given.name}": {multierror(errors)}')
    if given.scheduler_configuration is not None:
        raise Refusal(500, 'Feature "Node Pools Governance" is unlicensed')
    server = context.server
    own = replace(given, hash=None, create_index=0, modify_index=0)
    result = await server.propose(UpsertNodePool(now_ns=server.now_ns(), pool=own))
    return Answer(200, b"", (index_header(result.index),))


async def delete_node_pool(context: Context) -> Answer:
    """DELETE /v1/node/pool/:name."""
    server = context.server
    command = DeleteNodePool(now_ns=server.now_ns(), name=context.arguments[0], region=server.region)
    result = await server.propose(command)
    return Answer(200, b"", (index_header(result.index),))
