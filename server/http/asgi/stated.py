"""Statements as servers make them when they hand a request over to a node."""

from __future__ import annotations

from yurt.fsm.acl.rights import Rights
from yurt.fsm.store.schema import ALLOCATIONS
from yurt.fsm.structs.node import Node
from yurt.server.acl.need import CLUSTER, Need
from yurt.server.acl.statements import ATTRIBUTE, Statement, request_digest, sign
from yurt.server.http.asgi.context import Context
from yurt.server.keyring.keyring import usable_key

EXEC, NODE_EXEC = "alloc-exec", "alloc-node-exec"


def takes_statements(node: Node) -> bool:
    """Whether a node has said that it takes statements."""
    return (node.attributes or {}).get(ATTRIBUTE) == "1"


async def statement_for(context: Context, node: Node, raw_query: bytes) -> str:
    """Return a signed statement of what the caller may do with this request on a node; raises Refusal(500) if this
    server has no key to sign with, after waiting a moment for the first one of a new cluster."""
    server = context.server
    key = await usable_key(server)
    view = server.view()
    alloc_id = context.query.get("allocID") or next(iter(context.arguments), "")
    allocation = view.get(ALLOCATIONS, alloc_id)
    namespace = allocation.namespace if allocation is not None else ""
    capabilities, levels = granted(context.identity.rights, context.need, namespace)
    statement = Statement(
        subject=context.identity.name,
        node_id=node.id,
        request=request_digest(context.method, context.path, raw_query, context.body),
        capabilities=capabilities,
        levels=levels,
        namespace=namespace,
        alloc_id=allocation.id if allocation is not None else "",
    )
    return sign(statement, key.key_id, server.keyring.keystore.signing_key(key.key_id), server.now_ns())


def granted(rights: Rights, need: Need, namespace: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what of a need is met: capabilities in the namespace, levels of the cluster."""
    if need.kind in CLUSTER:
        return (), tuple(f"{need.kind}:{one}" for one in need.any_of if rights.with_cluster(need.kind, one))
    wanted = (*need.any_of, NODE_EXEC) if EXEC in need.any_of else need.any_of
    return tuple(one for one in wanted if rights.in_namespace(namespace, one)), ()
