"""Status, agent, operator, namespaces, node pools, metrics (spec cluster §1, §2, §7, §10, §11)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import orjson

from yurt import __version__
from yurt.fsm.commands import (
    SetSchedulerConfiguration,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.lang.strconv import parse_uint
from yurt.fsm.store.schema import SCHEDULER_CONFIG
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.operator import SchedulerConfiguration
from yurt.server.config.agent import Limits
from yurt.server.config.secrets import insecure_rpc
from yurt.server.http.asgi.answers import answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, index_header, json_answer, text
from yurt.server.http.query.found import Found
from yurt.server.leader.summaries import reconcile
from yurt.server.platform.address import split_address
from yurt.server.platform.supervision import failed_tasks
from yurt.server.raft.errors import NotLeader
from yurt.server.raft.transport.trust import NONE, PROVED, UNPROVED
from yurt.server.server import Server

READY_SECONDS = 2.0


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a part of an agent does what it should; `details` are warnings, left out if there are none."""

    ok: bool
    message: str
    details: tuple[str, ...] = ()


class Member(Record, frozen=True):
    """A server of the configuration."""

    name: str
    addr: str
    port: int
    status: str
    tags: dict[str, str]
    protocol_min: int = 1
    protocol_max: int = 5
    protocol_cur: int = 2
    delegate_min: int = 2
    delegate_max: int = 5
    delegate_cur: int = 4


class MembersAnswer(Record, frozen=True):
    """Every server, and which one says so."""

    members: tuple[Member, ...]
    server_dc: str = msgspec.field(name="ServerDC")
    server_name: str
    server_region: str


class SchedulerAnswer(Record, frozen=True, kw_only=True):
    """How the schedulers work."""

    index: int
    known_leader: bool = True
    last_contact: int = 0
    next_token: str = ""
    scheduler_config: SchedulerConfiguration


class SchedulerWriteAnswer(Record, frozen=True):
    """Whether the configuration was written; it is not if `cas` is another index."""

    index: int
    updated: bool


async def status_leader(context: Context) -> Answer:
    """GET /v1/status/leader: the leader's peer address."""
    return json_answer(orjson.dumps(context.server.leader_address or ""))


async def status_peers(context: Context) -> Answer:
    """GET /v1/status/peers: the voters' peer addresses."""
    return json_answer(orjson.dumps([one["address"] for one in context.server.engine.servers()]))


async def regions(context: Context) -> Answer:
    """GET /v1/regions."""
    return json_answer(orjson.dumps([context.server.region]))


async def agent_health(context: Context) -> Answer:
    """GET /v1/agent/health: 200 with a leader and all long-lived tasks running, else 500 with the same shape as text.

    `type=ready` asks more: is this server's state caught up with what the leader has committed, and are all root keys
    here that are in it?
    """
    server = context.server
    wanted = context.query.get("type", "")
    known = server.leader_address is not None and (server.is_ready or server.last_contact_ms() < 5000)
    found: dict[str, Health] = {}
    if wanted in ("", "server"):
        found["server"] = _healthy(server, "" if known else "No cluster leader", note=server.keyring.status().reason)
    if wanted == "ready":
        problem = server.keyring.status().reason if await _is_caught_up(context) else "not caught up"
        found["server"] = _healthy(server, problem)
    if wanted == "client":
        found["client"] = _healthy(server, "" if server.node_agent is not None else "client not enabled")
    if all(one.ok for one in found.values()):
        return json_answer(to_json(found))
    return text(500, to_json(found).decode())


def _healthy(server: Server, problem: str, note: str = "") -> Health:
    """Well if there is no problem and every long-lived task runs; then there may be a note."""
    if not problem and (down := server.supervisor.down()):
        problem = failed_tasks(down)
    return Health(not problem, problem or note or "ok", _warnings(server))


def _warnings(server: Server) -> tuple[str, ...]:
    """Return what is dangerous in a server's configuration, and whether its disk is full."""
    insecure = insecure_rpc(server.config) if server.transport.trust.demand == NONE else ""
    full = "" if server.engine.status().is_writable else "the disk has no space left for the log: free some space"
    return tuple(filter(None, (insecure, full)))


async def _is_caught_up(context: Context) -> bool:
    """Whether this server's state has everything that was acknowledged when it was asked; waits a little."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await context.server.read_ready()
    except (NotLeader, TimeoutError):
        return False
    return True


def members_of(context: Context) -> list[Member]:
    """Every server of the configuration."""
    server = context.server
    known = {one["id"]: one for one in server.transport.members()}
    own_id = server.engine.own.id
    found = []
    for one in server.engine.servers():
        host, port = split_address(one["address"])
        peer = known.get(one["id"], {})
        alive = one["id"] == own_id or bool(peer.get("alive"))
        tags = {
            "build": f"{__version__}",
            "dc": str(peer.get("datacenter") or server.datacenter),
            "expect": str(server.config.server.bootstrap_expect),
            "id": one["id"],
            "port": str(port),
            "raft_vsn": "3",
            "region": server.region,
            "revision": "",
            "role": "nomad",
            "rpc_addr": host,
            "vsn": "1",
        }
        trust = server.transport.trust
        if trust.demand != NONE:
            proof = PROVED if trust.has_proof_of(one["id"]) else UNPROVED
            tags["cluster_secret"] = trust.demand if one["id"] == own_id else proof
        if server.config.server.bootstrap_expect == 1:
            tags["bootstrap"] = "1"
        name, status = f"{one['name']}.{server.region}", "alive" if alive else "failed"
        found.append(Member(name=name, addr=host, port=port, status=status, tags=tags))
    return found


async def agent_members(context: Context) -> Answer:
    """GET /v1/agent/members."""
    server = context.server
    body = MembersAnswer(
        members=tuple(members_of(context)),
        server_dc=server.datacenter,
        server_name=server.name,
        server_region=server.region,
    )
    return json_answer(to_json(body))


def _limits(limits: Limits) -> dict[str, Any]:
    """The limits under names in the wire's style; durations as they were configured."""
    upper = {"http": "HTTP", "https": "HTTPS", "json": "JSON", "rpc": "RPC"}
    return {
        "".join(upper.get(word) or word.capitalize() for word in name.split("_")): value
        for name, value in msgspec.structs.asdict(limits).items()
    }


async def agent_self(context: Context) -> Answer:
    """GET /v1/agent/self: configuration, the own member, counters as texts."""
    server = context.server
    config = server.config
    own = next(one for one in members_of(context) if one.tags["id"] == server.engine.own.id)
    version, _, prerelease = __version__.partition("-")
    shown = {
        "ACL": {"Enabled": config.acl.enabled},
        "BindAddr": config.bind_addr,
        "Client": {"Enabled": False},
        "DataDir": config.data_dir,
        "Datacenter": config.datacenter,
        "DevMode": config.dev,
        "EnableDebug": config.enable_debug,
        "Limits": _limits(config.limits),
        "LogLevel": config.log_level,
        "NodeName": config.node_name,
        "Ports": {"HTTP": config.ports.http, "RPC": config.ports.rpc, "Serf": config.ports.serf},
        "Region": config.region,
        "Server": {"Enabled": True, "BootstrapExpect": config.server.bootstrap_expect},
        "TLSConfig": {"EnableHTTP": config.tls.http, "EnableRPC": config.tls.rpc},
        "Telemetry": {"PrometheusMetrics": config.telemetry.prometheus_metrics},
        "UI": {"Enabled": config.ui.enabled, "ShowCLIHints": config.ui.show_cli_hints},
        "Version": {
            "BuildDate": None,
            "Revision": "",
            "Version": version,
            "VersionMetadata": "yurt",
            "VersionPrerelease": prerelease,
        },
    }
    leads = server.is_ready
    stats = {
        "nomad": {
            "bootstrap": str(config.server.bootstrap_expect == 1).lower(),
            "known_regions": "1",
            "leader": str(leads).lower(),
            "leader_addr": server.leader_address or "",
            "server": "true",
        },
        "raft": server.engine.stats(),
        "runtime": {"kernel.name": "linux", "version": "python"},
    }
    if server.node_agent is not None:
        shown["Client"] = {"Enabled": True}
        stats["client"] = {"node_id": server.node_agent.node.id}
    return json_answer(to_json({"config": shown, "member": own, "stats": stats}))


async def metrics(context: Context) -> Answer:
    """GET /v1/metrics, also for Prometheus."""
    server = context.server
    if context.query.get("format") == "prometheus":
        if not server.config.telemetry.prometheus_metrics:
            return text(415, "Prometheus is not enabled")
        kind = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return Answer(200, server.metrics.prometheus().encode(), (kind,))
    return json_answer(orjson.dumps(server.metrics.shown()))


async def collect_garbage(context: Context) -> Answer:
    """PUT /v1/system/gc: answers when the leader has collected all that may go."""
    await context.server.force_collection()
    return Answer(200)


async def reconcile_summaries(context: Context) -> Answer:
    """PUT /v1/system/reconcile/summaries."""
    return Answer(200, b"", (index_header(await reconcile(context.server)),))


# --- scheduler configuration


def read_scheduler(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/operator/scheduler/configuration."""
    row = view.get(SCHEDULER_CONFIG, "") or SchedulerConfiguration()
    body = SchedulerAnswer(index=row.modify_index, scheduler_config=row)
    return Found(to_json(body), row.modify_index, ((SCHEDULER_CONFIG, ""),))


async def write_scheduler(context: Context) -> Answer:
    """PUT /v1/operator/scheduler/configuration, perhaps with `cas`."""
    try:
        given = decode_body(context.body, SchedulerConfiguration)
    except Refusal as refusal:
        raise Refusal(400, f"Error parsing scheduler config: {refusal.text}") from None
    algorithm = given.get("SchedulerAlgorithm") or "binpack"
    if algorithm not in ("binpack", "spread"):
        raise Refusal(400, f"invalid scheduler algorithm: {algorithm}")
    cas = None
    if "cas" in context.query:
        try:
            cas = parse_uint(context.query["cas"])
        except ValueError as error:
            raise Refusal(400, f"Error parsing cas value: {error}") from None
    given |= {"SchedulerAlgorithm": algorithm, "CreateIndex": 0, "ModifyIndex": 0}
    configuration = msgspec.convert(given, SchedulerConfiguration)
    server = context.server
    result = await server.propose(
        SetSchedulerConfiguration(now_ns=server.now_ns(), configuration=configuration, cas=cas)
    )
    return answered(SchedulerWriteAnswer(index=result.index, updated=result.updated), result.index)
