"""/v1/agent/monitor and /v1/agent/host: what an agent logs, and the machine it runs on (spec cluster §2)."""

from __future__ import annotations

import asyncio
import base64
import os
import platform
import re
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import NODES
from yurt.fsm.structs.base import Record, to_json
from yurt.server.http.asgi.context import JSON, TEXT, Answer, Context, json_answer
from yurt.server.http.routes.client import reachable
from yurt.server.http.routes.lookup import check_uuid
from yurt.server.http.routing.proxy import PROXIED, Target, proxied, target_of
from yurt.server.telemetry.logs import LEVELS, LogTail
from yurt.server.tls.files import server_roles

HEARTBEAT_SECONDS = 10.0
FILE_BYTES_MAX = 64 << 10
_SECRET = re.compile(
    r"TOKEN|SECRET|KEY|PASS|LICENSE|CREDENTIAL|AUTH|HEADER|COOKIE|PROXY|DSN|UR[IL]|CONNECTION", re.IGNORECASE
)  # of names; the last ones hold passwords among other things


class Interface(Record, frozen=True):
    """A network interface of a machine."""

    interface: str
    addresses: tuple[str, ...]


class DiskSpace(Record, frozen=True):
    """A file system's size, and how much of it is used."""

    disk_mb: int
    used_mb: int


class Machine(Record, frozen=True):
    """The machine that an agent runs on; what may be a secret in its environment is left out."""

    os: str = msgspec.field(name="OS")
    network: tuple[Interface, ...]
    resolv_conf: str
    hosts: str
    environment: dict[str, str]
    disk: dict[str, DiskSpace]


async def monitor(context: Context) -> Answer:
    """GET /v1/agent/monitor: lines as they are logged, in frames, or as they are with `plain=true`."""
    level = context.query.get("log_level") or "INFO"
    if level.upper() not in LEVELS:
        raise Refusal(400, f"Unknown log level: {level}")
    plain, as_json = context.flag("plain"), context.flag("log_json")
    if (target := await _elsewhere(context)) is not None:
        return await proxied(context, target, kind=TEXT if plain else JSON)
    return Answer(200, b"", (TEXT if plain else JSON,), stream=_lines(level, as_json=as_json, plain=plain))


async def _lines(level: str, *, as_json: bool, plain: bool) -> AsyncIterator[bytes]:
    with LogTail(level, json=as_json) as tail:
        yield b"" if plain else b"{}"
        while True:
            lines = await tail.lines(HEARTBEAT_SECONDS)
            data = "".join(f"{line}\n" for line in lines).encode()
            if plain:
                yield data
            else:
                yield b'{"Data":"%b"}' % base64.b64encode(data) if data else b"{}"


async def host(context: Context) -> Answer:
    """GET /v1/agent/host: the machine; what may be a secret in its environment is left out."""
    if (target := await _elsewhere(context)) is not None:
        return await proxied(context, target)
    return json_answer(await asyncio.to_thread(lambda: to_json(_machine())))


async def _elsewhere(context: Context) -> Target | None:
    """The agent that `server_id` or `node_id` names, None if it is this one. Raises Refusal."""
    server_id, node_id = context.query.get("server_id", ""), context.query.get("node_id", "")
    if server_id and node_id:
        raise Refusal(400, "Cannot target node and server simultaneously")
    server = context.server
    own = server.node_agent.node.id if server.node_agent is not None else ""
    if PROXIED in context.headers or (not server_id and node_id in ("", own)):
        return None
    if node_id:
        check_uuid(node_id, "node lookup failed: ")
        node = server.view().get(NODES, node_id)
        if node is None:
            raise Refusal(404, f"Unknown node {node_id}")
        return await target_of(context, reachable(node))
    return _server(context, server_id)


def _server(context: Context, wanted: str) -> Target | None:
    server = context.server
    leader = server.engine.leader
    if wanted == "leader" and leader is not None:
        wanted = leader.id
    if wanted in (server.engine.own.id, server.name, f"{server.name}.{server.region}"):
        return None
    for hello in server.transport.hellos.values():
        if wanted in (hello.server_id, hello.name, f"{hello.name}.{hello.region}"):
            tls = server.tls_to_nodes() if server.config.tls.http else None
            return Target(f"server {hello.name}", hello.http_address, tls, roles=server_roles(server.config))
    raise Refusal(400, f"unknown Nomad server {wanted}")


def _machine() -> Machine:
    environment = {name: "<redacted>" if _SECRET.search(name) else value for name, value in os.environ.items()}
    return Machine(
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        network=tuple(_interfaces()),
        resolv_conf=_file("/etc/resolv.conf"),
        hosts=_file("/etc/hosts"),
        environment=environment,
        disk={path: usage for path in ("/", str(Path.cwd())) if (usage := _disk(path)) is not None},
    )


def _interfaces() -> list[Interface]:
    found = []
    for _, name in socket.if_nameindex():
        path = Path(f"/sys/class/net/{name}/address")
        found.append(Interface(interface=name, addresses=(path.read_text().strip(),) if path.exists() else ()))
    return found


def _file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(FILE_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""


def _disk(path: str) -> DiskSpace | None:
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return DiskSpace(disk_mb=usage.total >> 20, used_mb=usage.used >> 20)
