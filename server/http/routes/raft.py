"""The servers as operators see and change them: Raft's configuration, hand-over, autopilot (spec cluster §11)."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qsl

import msgspec
import orjson

from yurt import __version__
from yurt.fsm.commands import SetAutopilotConfiguration
from yurt.fsm.errors import Refusal
from yurt.fsm.job.multierror import multierror
from yurt.fsm.lang.duration import format_duration, parse_duration
from yurt.fsm.lang.strconv import parse_bool, parse_uint
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.operator import AutopilotConfiguration
from yurt.server.http.asgi.context import Answer, Context, json_answer, text
from yurt.server.platform.address import split_address, with_port

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
JOIN_SECONDS = 3.0
_DURATIONS = ("LastContactThreshold", "ServerStabilizationTime")


class RaftServer(Record, frozen=True, kw_only=True):
    """A server of Raft's configuration."""

    address: str
    id: str
    leader: bool
    node: str
    raft_protocol: str = "3"
    voter: bool
    missing_keys: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET  # ours: root keys that it cannot use


class RaftAnswer(Record, frozen=True, kw_only=True):
    """Raft's configuration."""

    index: int = 0
    servers: tuple[RaftServer, ...]


class Peer(Record, frozen=True):
    """A server by its address and ID."""

    address: str
    id: str


class TransferAnswer(Record, frozen=True, kw_only=True):
    """The leader before the transfer, and the transfer's target; `noop` if they are the same."""

    err: str | None = None
    from_: Peer = msgspec.field(name="From")
    noop: bool
    to: Peer


class JoinAnswer(msgspec.Struct, frozen=True):
    """How many servers could be reached."""

    error: str
    num_joined: int
    warning: str = ""


class AutopilotAnswer(Record, frozen=True):
    """The configuration of autopilot, durations as texts."""

    last_contact_threshold: str
    server_stabilization_time: str
    cleanup_dead_servers: bool
    max_trailing_logs: int
    min_quorum: int
    enable_redundancy_zones: bool
    disable_upgrade_migration: bool
    enable_custom_upgrades: bool
    create_index: int
    modify_index: int


class ServerHealth(Record, frozen=True):
    """How a server does, as the leader sees it; `stable_since` is RFC 3339."""

    address: str
    healthy: bool
    id: str
    last_contact: str
    last_index: int
    last_term: int
    leader: bool
    name: str
    serf_status: str
    stable_since: str
    version: str
    voter: bool
    missing_keys: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET  # ours: root keys that it cannot use


class HealthAnswer(Record, frozen=True):
    """How the servers do, and how many voters may still be lost."""

    failure_tolerance: int
    healthy: bool
    leader: str
    servers: tuple[ServerHealth, ...]
    voters: tuple[str, ...]


async def raft_configuration(context: Context) -> Answer:
    """GET /v1/operator/raft/configuration."""
    engine, keys = context.server.engine, context.server.keyring.survey
    await keys.ask()
    servers = tuple(
        RaftServer(
            address=one["address"],
            id=one["id"],
            leader=one["leader"],
            node=f"{one['name']}.{context.server.region}",
            voter=one["voter"],
            missing_keys=keys.of(one["id"]).missing or msgspec.UNSET,
        )
        for one in engine.servers()
    )
    return json_answer(to_json(RaftAnswer(servers=servers)))


async def add_peer(context: Context) -> Answer:
    """PUT /v1/operator/raft/peer?id=&address=&name=: a server joins as a learner, and votes once it has caught up."""
    query = context.query
    if not query.get("id") or not query.get("address"):
        raise Refusal(400, "Must specify the peer's ID and address to add")
    await context.server.add_server(query["id"], query["address"], query.get("name", ""))
    return Answer(200)


async def remove_peer(context: Context) -> Answer:
    """DELETE /v1/operator/raft/peer?id=."""
    if "address" in context.query:
        raise Refusal(400, "Removing a peer by address is not supported in the current raft protocol version")
    if not context.query.get("id"):
        raise Refusal(400, "Must specify the peer's ID to remove")
    await context.server.remove_server(context.query["id"])
    return Answer(200)


async def transfer_leadership(context: Context) -> Answer:
    """PUT /v1/operator/raft/transfer-leadership?id= or address=."""
    server = context.server
    target = _target(context)
    own = server.engine.own
    noop = target.id == own.id
    if not noop:
        await server.transfer(target.id)
    return json_answer(to_json(TransferAnswer(from_=Peer(address=own.address, id=own.id), noop=noop, to=target)))


def _target(context: Context) -> Peer:
    wanted_id, wanted_address = context.query.get("id"), context.query.get("address")
    if wanted_id is None and not wanted_address:
        raise Refusal(400, "must specify id or address")
    if wanted_id is not None and wanted_address is not None:
        raise Refusal(400, "must specify either id or address")
    if wanted_id == "":
        raise Refusal(400, "id must be non-empty")
    if wanted_id and not _UUID.match(wanted_id):
        problem = "uuid string is wrong length" if len(wanted_id) != 36 else "uuid is improperly formatted"
        raise Refusal(400, f"id must be a uuid: {problem}")
    for one in context.server.engine.servers():
        if wanted_id == one["id"] or (wanted_address and wanted_address == one["address"]):
            return Peer(address=one["address"], id=one["id"])
    kind, value = ("id", wanted_id) if wanted_id else ("address", wanted_address)
    raise Refusal(400, f'{kind} "{value}" was not found in the Raft configuration')


async def join(context: Context) -> Answer:
    """PUT /v1/agent/join?address=…: servers to keep a connection to; failures are told with status 200."""
    addresses = [value for key, value in parse_qsl(context.raw_query.decode("latin-1")) if key == "address"]
    if not addresses:
        raise Refusal(400, "missing address to join")
    problems = []
    for given in addresses:
        address = with_port(given, context.server.config.ports.rpc)
        try:
            host, port = split_address(address)
            async with asyncio.timeout(JOIN_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
            writer.close()
        except (OSError, ValueError, TimeoutError) as error:
            reason = "connect: connection refused" if isinstance(error, ConnectionRefusedError) else str(error)
            problems.append(f"failed to join {given}: dial tcp {address}: {reason or 'i/o timeout'}")
        else:
            context.server.transport.dial(address)
    told = multierror(problems) if problems else ""
    return json_answer(to_json(JoinAnswer(told, len(addresses) - len(problems))))


async def force_leave(context: Context) -> Answer:
    """PUT /v1/agent/force-leave?node=NAME: a dead server leaves the configuration; 200 for unknown ones."""
    name = context.query.get("node", "")
    if not name:
        raise Refusal(400, "missing node to force leave")
    try:
        parse_bool(context.query.get("prune", "false"))
    except ValueError:
        raise Refusal(400, "invalid prune value") from None
    server = context.server
    alive = {one["id"] for one in server.transport.members() if one["alive"]} | {server.engine.own.id}
    for one in server.engine.servers():
        if name in (one["name"], f"{one['name']}.{server.region}") and one["id"] not in alive:
            await server.remove_server(one["id"])
    return Answer(200)


# --- autopilot


async def read_autopilot(context: Context) -> Answer:
    """GET /v1/operator/autopilot/configuration."""
    configuration = context.server.autopilot.configuration
    members = msgspec.structs.asdict(configuration)
    for name in ("last_contact_threshold", "server_stabilization_time"):
        members[name] = format_duration(members[name])
    return json_answer(to_json(AutopilotAnswer(**members)))


async def write_autopilot(context: Context) -> Answer:
    """PUT /v1/operator/autopilot/configuration, perhaps with `cas`; a member that is left out gets its default."""
    try:
        given = orjson.loads(context.body)
        if isinstance(given, dict):
            texts = {key: parse_duration(given[key]) for key in _DURATIONS if isinstance(given.get(key), str)}
            given |= {**texts, "CreateIndex": 0, "ModifyIndex": 0}
        configuration = msgspec.convert(given, AutopilotConfiguration)
    except (ValueError, msgspec.ValidationError) as error:
        raise Refusal(400, f"Error parsing autopilot config: {error}") from None
    cas = None
    if "cas" in context.query:
        try:
            cas = parse_uint(context.query["cas"])
        except ValueError as error:
            raise Refusal(400, f"Error parsing cas value: {error}") from None
    server = context.server
    command = SetAutopilotConfiguration(now_ns=server.now_ns(), configuration=configuration, cas=cas)
    result = await server.propose(command)
    return json_answer(orjson.dumps(bool(result.updated)))


async def autopilot_health(context: Context) -> Answer:
    """GET /v1/operator/autopilot/health; 429 with the same body if a server is not healthy."""
    server = context.server
    await server.keyring.survey.ask()
    engine, health = server.engine, server.autopilot.health()
    known = {one["id"]: one for one in server.transport.members()}
    term, servers = engine.term, []
    for one in health:
        peer = known.get(one.server["id"], {})
        is_own = one.server["id"] == engine.own.id
        servers.append(
            ServerHealth(
                address=one.server["address"],
                healthy=one.healthy,
                id=one.server["id"],
                last_contact=format_duration(int(min(one.contact, 1e6) * 1e9)),
                last_index=one.server["match"] or 0,
                last_term=term,
                leader=one.server["leader"],
                name=f"{one.server['name']}.{server.region}",
                serf_status="alive" if is_own or peer.get("alive") else "failed",
                stable_since=one.stable_since,
                version=__version__ if is_own else str(peer.get("software", "")),
                voter=one.server["voter"],
                missing_keys=one.missing_keys or msgspec.UNSET,
            )
        )
    voters = [one for one in health if one.server["voter"]]
    living = sum(one.healthy for one in voters)
    healthy = all(one.healthy for one in health)
    body = HealthAnswer(
        failure_tolerance=max(0, living - (len(voters) // 2 + 1)),
        healthy=healthy,
        leader=engine.leader.id if engine.leader is not None else "",
        servers=tuple(servers),
        voters=tuple(one.server["id"] for one in voters),
    )
    encoded = to_json(body)
    return json_answer(encoded) if healthy else text(429, encoded.decode())
