"""A node agent from its configuration: beside a server of the same process, or alone."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from yurt.server.client.agent import NodeAgent
from yurt.server.client.allocdir import PASSED_THROUGH
from yurt.server.client.artifacts import ArtifactLimits, Artifacts
from yurt.server.client.cgroups import Cgroups
from yurt.server.client.collector import Limits
from yurt.server.client.drivers.base import Driver
from yurt.server.client.drivers.exec import ExecDriver
from yurt.server.client.drivers.mock import MockDriver
from yurt.server.client.drivers.raw_exec import RawExecDriver
from yurt.server.client.fingerprint import fingerprint
from yurt.server.client.http import Answered
from yurt.server.client.identity import load_identity
from yurt.server.client.listener import NodeApp
from yurt.server.client.servers import Operations, RemoteServers, Send
from yurt.server.client.surroundings import Surroundings
from yurt.server.config.agent import AgentConfig, nanoseconds, size_bytes
from yurt.server.config.client import Artifact
from yurt.server.http.asgi.context import Context
from yurt.server.http.asgi.serve import HttpServer, bind
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.http.routing.proxy import Target
from yurt.server.platform.supervision import Supervisor
from yurt.server.reload import Reread, reload_at_hangup
from yurt.server.server import Server
from yurt.server.tls.files import TlsFiles, server_roles

log = logging.getLogger("client")

UNBOUNDED = 1 << 62


def drivers(config: AgentConfig) -> dict[str, Driver]:
    """The drivers of this version, and those that installed packages offer (entry points `yurt.drivers`)."""
    given = plugin_config(config, "raw_exec")
    enabled = bool(given.get("enabled", config.dev))
    denied = tuple(str(one) for one in given.get("denied_envvars", ()))
    known: dict[str, Driver] = {}
    shown = dict(config.client.chroot_env) or None
    cgroups = Cgroups(config.client.cgroup_parent or "nomad.slice")
    tracing = bool(plugin_config(config, "exec").get("allow_ptrace", False))
    raw = RawExecDriver(enabled=enabled, denied=denied, cgroups=cgroups)
    for driver in (MockDriver(), raw, ExecDriver(shown=shown, cgroups=cgroups, tracing=tracing)):
        known[driver.name] = driver
    for entry in entry_points(group="yurt.drivers"):
        other: Driver = entry.load()(plugin_config(config, entry.name))
        known[other.name] = other
    return known


def plugin_config(config: AgentConfig, name: str) -> dict[str, Any]:
    """The `config` of a driver's `plugin` block; empty without one."""
    found: dict[str, Any] = {}
    blocks = config.plugin if isinstance(config.plugin, list) else [config.plugin or {}]
    for block in blocks:
        for given in _blocks(block.get(name)):
            for one in _blocks(given.get("config")):
                found.update(one)
    return found


def _blocks(value: Any) -> list[dict[str, Any]]:
    """A block that may be given once, in a list, or not at all."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def make_agent(
    config: AgentConfig,
    data_dir: str,
    send: Send,
    learn: Callable[[list[str]], None],
    chance: random.Random,
    *,
    known: dict[str, Driver] | None = None,
    now_ns: Callable[[], int] = time.time_ns,
    supervisor: Supervisor | None = None,
) -> NodeAgent:
    """An agent that talks through `send`, with the `known` drivers (without them: those of this version).

    Raises OSError if its directories cannot be made.
    """
    client = config.client
    identity = load_identity(Path(client.state_dir or f"{data_dir}/client"))
    alloc_dir = Path(client.alloc_dir or f"{data_dir}/alloc")
    alloc_dir.mkdir(parents=True, exist_ok=True)
    alloc_dir.chmod(PASSED_THROUGH)
    known = drivers(config) if known is None else known
    surroundings = Surroundings(
        node=fingerprint(config, identity, known.values(), alloc_dir),
        drivers=known,
        alloc_dir=alloc_dir.resolve(),
        state_dir=Path(client.state_dir or f"{data_dir}/client").resolve(),
        region=config.region,
        host=dict(os.environ),
        kill_timeout_max_ns=nanoseconds(client.max_kill_timeout),
        ends_with_agent=config.dev,
        remote_exec=not client.disable_remote_exec,
        now_ns=now_ns,
        supervisor=supervisor or Supervisor(),
        artifacts=Artifacts(artifact_limits(client.artifact)),
        limits=Limits(
            interval_seconds=nanoseconds(client.gc_interval) / 1e9,
            parallel=client.gc_parallel_destroys,
            allocations=client.gc_max_allocs,
            disk_percent=client.gc_disk_usage_threshold,
            inode_percent=client.gc_inode_usage_threshold,
        ),
    )
    operations = Operations(send, identity, client.introduction_token)
    return NodeAgent(surroundings, operations, chance=chance, learn=learn, dev=config.dev)


def artifact_limits(given: Artifact) -> ArtifactLimits:
    """The bounds of artifacts; 0 stands for none."""
    return ArtifactLimits(
        read_seconds=nanoseconds(given.http_read_timeout) / 1e9,
        bytes=size_bytes(given.http_max_size) or UNBOUNDED,
        unpacked_bytes=size_bytes(given.decompression_size_limit) or UNBOUNDED,
        files=given.decompression_file_count_limit or UNBOUNDED,
    )


def agent_beside(server: Server, dispatcher: Dispatcher, data_dir: str, chance: random.Random) -> NodeAgent:
    """The agent of a process that is a server too: it asks that server without a socket."""

    async def send(method: str, target: str, headers: dict[str, str], body: bytes, seconds: float) -> Answered:
        path, _, query = target.partition("?")
        given = {name.lower().encode(): value.encode() for name, value in headers.items()}
        context = Context(server, method, path, query.encode(), given, body)
        context.is_inside = True
        async with asyncio.timeout(seconds):
            answer = await dispatcher.answer(context)
            body = await answer.whole(server.turns, "")
        return answer.status, {}, body

    return make_agent(server.config, data_dir, send, lambda _addresses: None, chance, supervisor=server.supervisor)


async def run_alone(config: AgentConfig, data_dir: str, reread: Reread) -> int:
    """Run a node agent whose servers are elsewhere, until a signal; its exit code."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    chance, tls = random.SystemRandom(), TlsFiles(config.tls)
    servers = RemoteServers(config.server_addresses(), chance, tls.to_servers, server_roles(config))
    agent = make_agent(config, data_dir, servers.send, servers.learn, chance)
    http = _listen(config, agent, servers, tls)
    reload_at_hangup(reread, tls, lambda: http.end_connections() if config.tls.verify_https_client else None)
    agent.start()
    http.start()
    log.info("node agent started", extra={"node": agent.node.id, "servers": ",".join(config.server_addresses())})
    await stopping.wait()
    await agent.stop()
    await http.stop()
    log.info("agent stopped")
    return 0


def _listen(config: AgentConfig, agent: NodeAgent, servers: RemoteServers, tls: TlsFiles) -> HttpServer:
    """Return the server that handles the node's allocations and proxies all else to the servers; raise `PortInUse`."""

    def targets() -> list[Target]:
        secure, roles = tls.to_servers(), server_roles(config)
        return [Target(f"server {address}", address, secure, is_last=False, roles=roles) for address in servers.known]

    limits = config.limits
    return HttpServer(
        NodeApp(agent, config, targets),
        [bind(host, config.ports.http) for host in config.bind("http")],
        limits=limits,
        tls=tls.http,
        supervisor=agent.supervisor,
    )
