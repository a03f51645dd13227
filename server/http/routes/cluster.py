"""Status, agent, operator, namespaces, node pools, metrics (spec cluster §1, §2, §7, §10, §11)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import orjson

from yurt import __version__
from yurt.fsm.commands import (
    ReconcileSummaries,
    SetSchedulerConfiguration,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.lang.strconv import parse_uint
from yurt.fsm.store.schema import SCHEDULER_CONFIG
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import to_builtins
from yurt.fsm.structs.operator import SchedulerConfiguration
from yurt.server.address import split_address
from yurt.server.config.agent import Limits
from yurt.server.http.context import Answer, Context, ReadOptions, index_header, json_answer, text
from yurt.server.http.reads import Found
from yurt.server.raft.errors import NotLeader

READY_SECONDS = 2.0


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
    """GET /v1/agent/health: 200 with a leader, else 500 with the same shape as text.

    `type=ready` asks more: is this server's state caught up with what the leader has committed?
    """
    server = context.server
    wanted = context.query.get("type", "")
    known = server.leader_address is not None and (server.is_ready or server.last_contact_ms() < 5000)
    found: dict[str, Any] = {}
    if wanted in ("", "server"):
        found["server"] = {"ok": known, "message": "ok" if known else "No cluster leader"}
    if wanted == "ready":
        ready = await _is_caught_up(context)
        found["server"] = {"ok": ready, "message": "ok" if ready else "not caught up"}
    if wanted == "client":
        found["client"] = {"ok": False, "message": "client not enabled"}
    if all(one["ok"] for one in found.values()):
        return json_answer(orjson.dumps(found))
    return text(500, orjson.dumps(found).decode())


async def _is_caught_up(context: Context) -> bool:
    """Whether this server's state has everything that was acknowledged when it was asked; waits a little."""
    try:
        await asyncio.wait_for(context.server.read_ready(), READY_SECONDS)
    except (NotLeader, TimeoutError):
        return False
    return True


def members_of(context: Context) -> list[dict[str, Any]]:
    """Every server of the configuration, in the wire's shape."""
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
        if server.config.server.bootstrap_expect == 1:
            tags["bootstrap"] = "1"
        found.append(
            {
                "Name": f"{one['name']}.{server.region}",
                "Addr": host,
                "Port": port,
                "Status": "alive" if alive else "failed",
                "Tags": tags,
                **_PROTOCOL,
            }
        )
    return found


_PROTOCOL = {"ProtocolMin": 1, "ProtocolMax": 5, "ProtocolCur": 2, "DelegateMin": 2, "DelegateMax": 5, "DelegateCur": 4}


async def agent_members(context: Context) -> Answer:
    """GET /v1/agent/members."""
    server = context.server
    body = {
        "Members": members_of(context),
        "ServerDC": server.datacenter,
        "ServerName": server.name,
        "ServerRegion": server.region,
    }
    return json_answer(orjson.dumps(body))


def _limits(limits: Limits) -> dict[str, Any]:
    """The limits under names in the wire's style; durations as they were configured."""
    upper = {"http": "HTTP", "https": "HTTPS", "rpc": "RPC"}
    return {
        "".join(upper.get(word) or word.capitalize() for word in name.split("_")): value
        for name, value in msgspec.structs.asdict(limits).items()
    }


async def agent_self(context: Context) -> Answer:
    """GET /v1/agent/self: configuration, the own member, counters as texts."""
    server = context.server
    config = server.config
    own = next(one for one in members_of(context) if one["Tags"]["id"] == server.engine.own.id)
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
    return json_answer(orjson.dumps({"config": shown, "member": own, "stats": stats}))


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
    """PUT /v1/system/gc: asks the leader's collector, answers at once."""
    context.server.force_collection()
    return Answer(200)


async def reconcile_summaries(context: Context) -> Answer:
    """PUT /v1/system/reconcile/summaries."""
    result = await context.server.propose(ReconcileSummaries(now_ns=context.server.now_ns()))
    return Answer(200, b"", (index_header(result.index),))


# --- scheduler configuration


def read_scheduler(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/operator/scheduler/configuration."""
    row = view.get(SCHEDULER_CONFIG, "") or SchedulerConfiguration()
    body = {
        "Index": row.modify_index,
        "KnownLeader": True,
        "LastContact": 0,
        "NextToken": "",
        "SchedulerConfig": to_builtins(row),
    }
    return Found(orjson.dumps(body), row.modify_index, ((SCHEDULER_CONFIG, ""),))


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
    body = {"Index": result.index, "Updated": result.updated}
    return json_answer(orjson.dumps(body), index_header(result.index))
