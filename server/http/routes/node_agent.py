"""The six operations of node agents on servers (spec client-rpc §4), as HTTP with the same names and members.

A node shows its secret as the request's token; only registration brings it in the body.
"""

from __future__ import annotations

import hmac

import msgspec

from yurt.fsm.commands_nodes import (
    AllocUpdate,
    NodeStatus,
    NodeWritten,
    RegisterNode,
    UpdateNodeStatuses,
)
from yurt.fsm.commands_services import DeleteServices, UpsertServices
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import TOO_DEEP
from yurt.fsm.store.schema import ALLOCATIONS, NODES, SERVICE_REGISTRATIONS
from yurt.fsm.store.view import View
from yurt.fsm.store.watches import Having
from yurt.fsm.structs.allocation import UNKNOWN, Allocation
from yurt.fsm.structs.base import Record, replace, to_json
from yurt.fsm.structs.node import DISCONNECTED, DOWN, INITIALIZING, READY, Node
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.server.acl.authority import denied
from yurt.server.acl.need import CLUSTER
from yurt.server.acl.workloads import sign
from yurt.server.http.asgi.answers import IndexAnswer, answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, json_answer
from yurt.server.http.query.found import Found
from yurt.server.http.routes.lookup import check_uuid
from yurt.server.http.routes.nodes import LOOKUP, node_update
from yurt.server.server import Server

DENIED = "Permission denied"
ALLOCATIONS_PER_REQUEST_MAX = 5000


class NodeRegisterRequest(Record, frozen=True):
    """Node.Register."""

    node: Node = Node()


class StatusRequest(Record, frozen=True):
    """Node.UpdateStatus: a heartbeat."""

    node_id: str = ""
    status: str = ""


class AllocsRequest(Record, frozen=True):
    """Alloc.GetAllocs."""

    node_id: str = ""
    alloc_ids: tuple[str, ...] = msgspec.field(default=(), name="AllocIDs")


class UpdateRequest(Record, frozen=True):
    """Node.UpdateAlloc."""

    node_id: str = ""
    alloc: tuple[AllocUpdate, ...] = ()


class ServicesRequest(Record, frozen=True):
    """ServiceRegistration.Upsert, and with IDs ServiceRegistration.DeleteByID."""

    node_id: str = ""
    services: tuple[ServiceRegistration, ...] = ()
    ids: tuple[str, ...] = msgspec.field(default=(), name="IDs")


class SignRequest(Record, frozen=True):
    """Alloc.SignIdentities: identities of one task, by their names."""

    node_id: str = ""
    alloc_id: str = ""
    task: str = ""
    names: tuple[str, ...] = ()


class AuthorizeRequest(Record, frozen=True):
    """ACL.Authorize: whether a token may do something on the node."""

    node_id: str = ""
    token: str = ""
    kind: str = ""
    any_of: tuple[str, ...] = ()
    namespace: str = ""


class ClientAllocsAnswer(Record, frozen=True):
    """Node.GetClientAllocs: allocation → AllocModifyIndex."""

    allocs: dict[str, int]
    index: int


class AllocsAnswer(Record, frozen=True):
    """Alloc.GetAllocs."""

    allocs: tuple[Allocation, ...]
    index: int


class SignAnswer(Record, frozen=True):
    """Alloc.SignIdentities: name → token."""

    signed: dict[str, str]


class AuthorizeAnswer(Record, frozen=True):
    """ACL.Authorize: it is allowed, and whether that was because of access control."""

    enabled: bool


def _decoded(body: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    if not body:
        raise Refusal(400, "Request body is empty")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refusal(400, str(error)) from None
    except RecursionError:
        raise Refusal(400, TOO_DEEP) from None


def _secret(context: Context) -> str:
    return context.headers.get(b"x-nomad-token", b"").decode("latin-1")


def authenticated(view: View, node_id: str, secret: str) -> Node:
    """The node, if it is known and the secret is its own; raises Refusal(500) or Refusal(403)."""
    check_uuid(node_id, LOOKUP)
    node = view.get(NODES, node_id)
    if node is None:
        raise Refusal(500, "node not found")
    if not hmac.compare_digest(node.secret_id.encode(), secret.encode()):
        raise Refusal(403, DENIED)
    return node


async def register(context: Context) -> Answer:
    """Node.Register: at the start, after changes, and when a server does not know the node."""
    given = _decoded(context.body, NodeRegisterRequest)
    assert isinstance(given, NodeRegisterRequest)
    node, server = given.node, context.server
    check_uuid(node.id, LOOKUP)
    if len(node.secret_id) < 16:
        raise Refusal(500, "missing node secret ID for client registration")
    for name, value in (("datacenter", node.datacenter), ("name", node.name)):
        if not value:
            raise Refusal(500, f"missing {name} for client registration")
    _check_introduction(context, node.id)
    result: NodeWritten = await server.propose(RegisterNode(now_ns=server.now_ns(), node=node, seed=server.new_id()))
    ttl = server.heartbeats.beat(node.id)
    stored = server.view().get(NODES, node.id)
    body = node_update(server, result, ttl_ns=ttl, eligibility=stored.scheduling_eligibility if stored else "")
    return answered(body, result.index)


def _check_introduction(context: Context, node_id: str) -> None:
    """With access control a new node shows a token with `node:write`; a known one shows its own secret (the state
    machine compares). Raises Refusal(403)."""
    server = context.server
    view = server.view()
    if not server.authority.enabled or context.is_inside or view.get(NODES, node_id) is not None:
        return
    who = server.authority.identify(view, context.bearer, server.now_ns())
    if not who.rights.with_cluster("node", "write"):
        raise denied()


async def update_status(context: Context) -> Answer:
    """Node.UpdateStatus: a heartbeat; a command only if the node's status changes by it."""
    given = _decoded(context.body, StatusRequest)
    assert isinstance(given, StatusRequest)
    server = context.server
    view = server.view()
    node = authenticated(view, given.node_id, _secret(context))
    ttl = server.heartbeats.beat(node.id)
    result = NodeWritten()
    status = _next_status(view, node, given.status or READY)
    if status != node.status:
        event = "Node reregistered by heartbeat" if node.status == DOWN else ""
        change = NodeStatus(node_id=node.id, status=status, event=event)
        result = await server.propose(
            UpdateNodeStatuses(now_ns=server.now_ns(), statuses=(change,), seed=server.new_id())
        )
    body = node_update(server, result, ttl_ns=ttl, eligibility=node.scheduling_eligibility)
    return answered(replace(body, index=0), result.index)


def _next_status(view: View, node: Node, wanted: str) -> str:
    """A node that was cut off is ready only when it told what became of its allocations (spec scheduling §9.3)."""
    if wanted != READY or node.status not in (DISCONNECTED, INITIALIZING):
        return wanted
    told = node.last_alloc_update_index > node.last_missed_heartbeat_index
    unknown = any(one.client_status == UNKNOWN for one in view.find(ALLOCATIONS, "node", node.id))
    if unknown and not told:
        return INITIALIZING
    return READY


def client_allocs(view: View, context: Context, options: ReadOptions) -> Found:
    """Node.GetClientAllocs: allocation → AllocModifyIndex of one node; with `index` it waits for a change of those.

    A row that is removed takes its index with it: `known`, how many rows the node knows of, tells that some are gone.
    """
    node = authenticated(view, context.query.get("node_id", ""), _secret(context))
    rows = list(view.find(ALLOCATIONS, "node", node.id))
    index = max(node.modify_index, *(one.alloc_modify_index for one in rows), 1)
    if context.query.get("known", str(len(rows))) != str(len(rows)):
        index = max(index, view.table_index(ALLOCATIONS))
    body = ClientAllocsAnswer(allocs={one.id: one.alloc_modify_index for one in rows}, index=index)
    return Found(to_json(body), index, ((ALLOCATIONS, Having("node", node.id)), (NODES, node.id)))


async def get_allocs(context: Context) -> Answer:
    """Alloc.GetAllocs: whole allocations of the node, with their jobs."""
    given = _decoded(context.body, AllocsRequest)
    assert isinstance(given, AllocsRequest)
    view = context.server.view()
    node = authenticated(view, given.node_id, _secret(context))
    found = (view.get(ALLOCATIONS, one) for one in given.alloc_ids[:ALLOCATIONS_PER_REQUEST_MAX])
    own = tuple(one for one in found if one is not None and one.node_id == node.id)
    return answered(AllocsAnswer(allocs=own, index=view.index), view.index)


async def update_alloc(context: Context) -> Answer:
    """Node.UpdateAlloc: what became of the node's allocations."""
    given = _decoded(context.body, UpdateRequest)
    assert isinstance(given, UpdateRequest)
    server: Server = context.server
    view = server.view()
    node = authenticated(view, given.node_id, _secret(context))
    stored = ((view.get(ALLOCATIONS, one.id), one) for one in given.alloc)
    own = [update for row, update in stored if row is not None and row.node_id == node.id]
    index = await server.reports.add(own) if own else view.index
    return answered(IndexAnswer(index=index), index)


async def upsert_services(context: Context) -> Answer:
    """ServiceRegistration.Upsert: only of the node's own allocations."""
    given = _decoded(context.body, ServicesRequest)
    assert isinstance(given, ServicesRequest)
    server: Server = context.server
    node = authenticated(server.view(), given.node_id, _secret(context))
    own = tuple(replace(one, node_id=node.id) for one in given.services if _is_own(server, node, one.alloc_id))
    result = await server.propose(UpsertServices(now_ns=server.now_ns(), services=own))
    return answered(IndexAnswer(index=result.index), result.index)


def _is_own(server: Server, node: Node, alloc_id: str) -> bool:
    row = server.view().get(ALLOCATIONS, alloc_id)
    return row is not None and row.node_id == node.id


async def delete_services(context: Context) -> Answer:
    """ServiceRegistration.DeleteByID: only what the node has registered."""
    given = _decoded(context.body, ServicesRequest)
    assert isinstance(given, ServicesRequest)
    server: Server = context.server
    view = server.view()
    node = authenticated(view, given.node_id, _secret(context))
    stored = ((one, view.get(SERVICE_REGISTRATIONS, one)) for one in given.ids)
    ids = tuple(one for one, row in stored if row is not None and row.node_id == node.id)
    result = await server.propose(DeleteServices(now_ns=server.now_ns(), ids=ids))
    return answered(IndexAnswer(index=result.index), result.index)


async def authorize(context: Context) -> Answer:
    """ACL.Authorize: a node asks before it does what somebody wants of it directly."""
    given = _decoded(context.body, AuthorizeRequest)
    assert isinstance(given, AuthorizeRequest)
    server: Server = context.server
    view = server.view()
    authenticated(view, given.node_id, _secret(context))
    rights = server.authority.identify(view, given.token, server.now_ns()).rights
    if given.kind in CLUSTER:
        allowed = any(rights.with_cluster(given.kind, one) for one in given.any_of)
    else:
        allowed = given.kind == "nothing" or rights.in_namespace(given.namespace or "default", *given.any_of)
    if not allowed:
        raise denied()
    return json_answer(to_json(AuthorizeAnswer(enabled=server.authority.enabled)))


async def sign_identities(context: Context) -> Answer:
    """Alloc.SignIdentities: only of the node's own allocations that have not ended."""
    given = _decoded(context.body, SignRequest)
    assert isinstance(given, SignRequest)
    server: Server = context.server
    node = authenticated(server.view(), given.node_id, _secret(context))
    allocation = server.view().get(ALLOCATIONS, given.alloc_id)
    if allocation is None or allocation.node_id != node.id or allocation.is_client_terminal:
        raise denied()
    group = allocation.job.group(allocation.task_group) if allocation.job is not None else None
    task = next((one for one in (group.tasks or ()) if one.name == given.task), None) if group is not None else None
    if task is None:
        raise Refusal(400, f'allocation has no task "{given.task}"')
    keystore, now_ns = server.keyring.keystore, server.now_ns()
    signed = {name: sign(keystore, allocation, task, name, region=server.region, now_ns=now_ns) for name in given.names}
    return json_answer(to_json(SignAnswer(signed=signed)))
