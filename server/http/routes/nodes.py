"""Nodes as users see and change them (spec cluster §3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from yurt.fsm.commands_nodes import DrainNode, EvaluateNode, NodeWritten, PurgeNode, SetNodeEligibility
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.lang.strconv import parse_bool
from yurt.fsm.store.schema import ALLOCATIONS, NODE_POOLS, NODES
from yurt.fsm.store.view import View
from yurt.fsm.store.watches import Having
from yurt.fsm.structs.base import Record, replace, to_json
from yurt.fsm.structs.node import (
    ELIGIBLE,
    DrainStrategy,
    Driver,
    HostVolume,
    LastDrain,
    Node,
    NodeResources,
    ReservedResources,
)
from yurt.fsm.structs.secrets import redacted
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.answers import answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Form, Listing, stored
from yurt.server.http.routes.allocations import full_json
from yurt.server.http.routes.lookup import check_prefix, check_uuid, missing
from yurt.server.platform.turns import Steps
from yurt.server.server import Server

LOOKUP = "node lookup failed: "


class EligibilityRequest(Record, frozen=True):
    """PUT /v1/node/:id/eligibility."""

    node_id: str = ""
    eligibility: str = ""


class DrainSpec(Record, frozen=True):
    """How long allocations may take to leave; below zero: none, zero: as long as they like."""

    deadline: int = 0
    ignore_system_jobs: bool = False


class DrainRequest(Record, frozen=True):
    """PUT /v1/node/:id/drain; without a spec the drain is taken back."""

    node_id: str = ""
    drain_spec: DrainSpec | None = None
    mark_eligible: bool = False
    meta: dict[str, str] | None = None


class NodeStub(Record, frozen=True):
    """A node in a list; the last three only if they are asked for."""

    address: str
    create_index: int
    datacenter: str
    drain: bool
    drivers: dict[str, Driver]
    host_volumes: dict[str, HostVolume]
    id: str
    last_drain: LastDrain | None
    modify_index: int
    name: str
    node_class: str
    node_pool: str
    scheduling_eligibility: str
    status: str
    status_description: str
    version: str
    node_resources: NodeResources | msgspec.UnsetType | None = msgspec.UNSET
    reserved_resources: ReservedResources | msgspec.UnsetType | None = msgspec.UNSET
    attributes: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class NodeWriteAnswer(Record, frozen=True):
    """The result of a change of a node's drain or eligibility."""

    eval_create_index: int
    eval_ids: tuple[str, ...] | None
    index: int
    node_modify_index: int


class KnownServer(Record, frozen=True):
    """A server, as nodes learn of it: the peer address and the API's."""

    datacenter: str
    http_addr: str
    rpc_advertise_addr: str = msgspec.field(name="RPCAdvertiseAddr")
    rpc_major_version: int = msgspec.field(default=0, name="RPCMajorVersion")
    rpc_minor_version: int = msgspec.field(default=0, name="RPCMinorVersion")


class NodeAnswer(Record, frozen=True, kw_only=True):
    """The result of a write that concerns a whole node (spec client-rpc §4)."""

    eval_create_index: int
    eval_ids: tuple[str, ...] | None
    features: int = 0
    heartbeat_ttl: int
    index: int
    known_leader: bool = False
    last_contact: int = 0
    leader_rpc_addr: str = msgspec.field(name="LeaderRPCAddr")
    next_token: str = ""
    node_modify_index: int
    num_nodes: int
    scheduling_eligibility: str
    servers: tuple[KnownServer, ...] | None
    signed_identity: str | None = None


def node_json(node: Node) -> bytes:
    """The whole node, without its secret."""
    return to_json(redacted(node))


def _stub(node: Node) -> NodeStub:
    return NodeStub(
        address=node.http_addr.rpartition(":")[0] or node.http_addr,
        create_index=node.create_index,
        datacenter=node.datacenter,
        drain=node.drain_strategy is not None,
        drivers=node.drivers or {},
        host_volumes=node.host_volumes or {},
        id=node.id,
        last_drain=node.last_drain,
        modify_index=node.modify_index,
        name=node.name,
        node_class=node.node_class,
        node_pool=node.node_pool,
        scheduling_eligibility=node.scheduling_eligibility,
        status=node.status,
        status_description=node.status_description,
        version=(node.attributes or {}).get("nomad.version", ""),
    )


def stub_json(node: Node) -> bytes:
    """A node in a list."""
    return to_json(_stub(node))


def _list_flag(context: Context, name: str) -> bool:
    value = context.query.get(name, "")
    try:
        return bool(value) and parse_bool(value)
    except ValueError as error:
        text = f'Failed to parse value of "{name}" ({value}) as a bool: {error}'
        raise Refusal(400, f"Failed to parse node list fields: {text}") from None


def _form(context: Context) -> Form:
    """How a node stands in a list, as `resources` and `os` want it."""
    resources, system = _list_flag(context, "resources"), _list_flag(context, "os")
    if not (resources or system):
        return stored(context, NODES, stub_json)

    def form(node: Node) -> bytes:
        stub = _stub(node)
        if resources:
            stub = replace(stub, node_resources=node.node_resources, reserved_resources=node.reserved_resources)
        if system:
            stub = replace(stub, attributes={"os.name": (node.attributes or {}).get("os.name", "")})
        return to_json(stub)

    return form


def list_nodes(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/nodes."""
    if options.prefix:
        check_prefix(options.prefix, LOOKUP)
    start = None if options.reverse else options.next_token or None
    rows = view.scan(NODES, prefix=options.prefix or None, start=start)
    return Listing(rows, _form(context), view.table_index(NODES), ((NODES, None),), options, lambda node: node.id)


def pool_nodes(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/node/pool/:name/nodes; the pool `all` has every node."""
    name = context.arguments[0]
    if options.prefix:
        raise Refusal(400, "prefix argument not allowed")
    if not context.identity.rights.with_pool(name, "read"):
        raise denied()
    known = view.get(NODE_POOLS, name) is not None
    rows: Iterator[Any] = view.scan(NODES) if name == "all" else view.each(NODES, "pool", name)
    index = max(1, view.table_index(NODES)) if known else 0
    return Listing(rows, _form(context), index, ((NODES, None),), options, lambda node: node.id)


def read_node(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/node/:id."""
    node_id = context.arguments[0]
    check_uuid(node_id, LOOKUP)
    node = view.get(NODES, node_id)
    if node is None:
        return missing("node not found", view.table_index(NODES), (NODES, node_id))
    body = context.server.machine.store.encoded(NODES, node, node_json)
    return Found(body, node.modify_index, ((NODES, node_id),))


def node_allocations(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/node/:id/allocations: whole allocations."""
    node_id = context.arguments[0]
    check_uuid(node_id, LOOKUP)
    newest, rows = 0, []
    may = context.identity.rights.in_namespace
    for row in view.each(ALLOCATIONS, "node", node_id):
        if row is not None:
            newest = max(newest, row.modify_index)
            if may(row.namespace, "read-job"):
                rows.append(row)
        yield
    index = newest or max(1, view.table_index(ALLOCATIONS))
    form, watch = stored(context, ALLOCATIONS, full_json), ((ALLOCATIONS, Having("node", node_id)),)
    return (yield from Listing(rows, form, index, watch).steps())


def _node_id(context: Context, given: str) -> str:
    """The node that a write is about: the body's ID wins over the path's."""
    node_id = given or context.arguments[0]
    check_uuid(node_id, LOOKUP)
    return node_id


def _written(result: NodeWritten, node_modify_index: int, *, evaluated: bool = False) -> Answer:
    """`evaluated`: the write made as many evaluations as it could, perhaps none."""
    body = NodeWriteAnswer(
        eval_create_index=result.index if result.eval_ids or evaluated else 0,
        eval_ids=result.eval_ids or None,
        index=result.index,
        node_modify_index=node_modify_index,
    )
    return answered(body, result.index)


async def set_eligibility(context: Context) -> Answer:
    """PUT /v1/node/:id/eligibility."""
    given = msgspec.convert(decode_body(context.body, EligibilityRequest), EligibilityRequest)
    server = context.server
    command = SetNodeEligibility(
        now_ns=server.now_ns(),
        node_id=_node_id(context, given.node_id),
        eligibility=given.eligibility,
        seed=server.new_id(),
    )
    return _written(await server.propose(command), 0, evaluated=given.eligibility == ELIGIBLE)


async def drain(context: Context) -> Answer:
    """PUT /v1/node/:id/drain: begins, changes or takes back a drain."""
    given = msgspec.convert(decode_body(context.body, DrainRequest), DrainRequest)
    server = context.server
    now_ns = server.now_ns()
    strategy = None
    if given.drain_spec is not None:
        deadline = given.drain_spec.deadline
        strategy = DrainStrategy(
            deadline=deadline,
            ignore_system_jobs=given.drain_spec.ignore_system_jobs,
            force_deadline=to_rfc3339(now_ns + deadline) if deadline > 0 else None,
            started_at=to_rfc3339(now_ns),
        )
    command = DrainNode(
        now_ns=now_ns,
        node_id=_node_id(context, given.node_id),
        strategy=strategy,
        mark_eligible=given.mark_eligible,
        meta=given.meta,
        accessor_id=context.identity.name,
        seed=server.new_id(),
    )
    result: NodeWritten = await server.propose(command)
    return _written(result, result.node_modify_index)


def node_update(server: Server, result: NodeWritten, *, ttl_ns: int = 0, eligibility: str = "") -> NodeAnswer:
    """The answer to what concerns a whole node."""
    return NodeAnswer(
        eval_create_index=result.index if result.eval_ids else 0,
        eval_ids=result.eval_ids or None,
        heartbeat_ttl=ttl_ns,
        index=result.index,
        leader_rpc_addr=server.leader_address or "",
        node_modify_index=result.node_modify_index,
        num_nodes=server.view().count(NODES),
        scheduling_eligibility=eligibility,
        servers=servers_of(server),
    )


def servers_of(server: Server) -> tuple[KnownServer, ...]:
    """Every server."""
    known = {one["id"]: one for one in server.transport.members()}
    found = []
    for one in server.engine.servers():
        peer = known.get(one["id"], {})
        own = one["id"] == server.engine.own.id
        found.append(
            KnownServer(
                datacenter=str(peer.get("datacenter") or server.datacenter),
                http_addr=server.config.advertised("http") if own else str(peer.get("http_address", "")),
                rpc_advertise_addr=one["address"],
            )
        )
    return tuple(found)


async def evaluate(context: Context) -> Answer:
    """PUT /v1/node/:id/evaluate."""
    server = context.server
    node_id = _node_id(context, "")
    result: NodeWritten = await server.propose(
        EvaluateNode(now_ns=server.now_ns(), node_id=node_id, seed=server.new_id())
    )
    if not result.index:
        result = NodeWritten()
    node = server.view().get(NODES, node_id)
    eligibility = node.scheduling_eligibility if node else ""
    return answered(node_update(server, result, eligibility=eligibility), result.index)


async def purge(context: Context) -> Answer:
    """PUT /v1/node/:id/purge: the node is deleted; if it lives it registers again."""
    server = context.server
    node_id = _node_id(context, "")
    result: NodeWritten = await server.propose(PurgeNode(now_ns=server.now_ns(), node_id=node_id, seed=server.new_id()))
    return answered(replace(node_update(server, result), servers=None, leader_rpc_addr=""), result.index)
