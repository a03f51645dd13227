"""`yurt agent`: run a server, a node agent or both."""

from __future__ import annotations

import os
from typing import Any

import click

from yurt.server.cli.output import fail


@click.command()
@click.option("--config", "paths", multiple=True, metavar="PATH", help="File or directory (HCL or JSON); repeatable.")
@click.option("--dev", is_flag=True, help="Run one server with a node; keep nothing unless -data-dir is given.")
@click.option("--server", "server_mode", is_flag=True, help="Run the server part.")
@click.option("--client", "client_mode", is_flag=True, help="Run the node agent, which runs tasks.")
@click.option(
    "--servers", multiple=True, metavar="HOST:PORT", help="API address of a server, for the node agent; repeatable."
)
@click.option("--node-class", help="Class of the node.")
@click.option("--node-pool", help="Pool of the node (default).")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Metadata of the node; repeatable.")
@click.option(
    "--acl-enabled", is_flag=True, help="Require a token for everything (PUT /v1/acl/bootstrap creates the first)."
)
@click.option("--network-interface", help="Network interface of tasks' ports.")
@click.option("--state-dir", help="Directory of the node agent's state.")
@click.option("--alloc-dir", help="Parent directory of the allocations' directories.")
@click.option("--bootstrap-expect", type=int, help="Number of servers that form the cluster together.")
@click.option("--data-dir", help="Directory of the state; an absolute path.")
@click.option("--bind", help="Address to bind (127.0.0.1).")
@click.option("--advertise", help="Host at which others reach this agent (the bound address).")
@click.option("--region", help="Region of the servers (global).")
@click.option("--dc", help="Datacenter (dc1).")
@click.option("--node", help="Name of this agent (the machine's).")
@click.option("--log-level", help="TRACE, DEBUG, INFO, WARN or ERROR (INFO).")
@click.option("--log-json", is_flag=True, help="Log as JSON even on a terminal.")
@click.option("--retry-join", multiple=True, metavar="HOST:PORT", help="Peer address of a server to join; repeatable.")
@click.option("--join", multiple=True, metavar="HOST:PORT", help="Same as -retry-join.")
@click.option("--retry-max", type=int, hidden=True)
@click.option("--retry-interval", hidden=True)
@click.option("--rejoin", is_flag=True, hidden=True)
@click.option("--encrypt", help="Cluster secret: 16, 24 or 32 bytes in base64.")
@click.option("--raft-protocol", type=int, hidden=True)
def agent(paths: tuple[str, ...], dev: bool, **given: Any) -> None:
    """Run a server, a node agent or both until it is told to stop by SIGINT or SIGTERM.

    Flags win over files, later files over earlier ones, and -dev over what it sets.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's columns need no threads, and starting them takes time
    from yurt.fsm.errors import YurtError
    from yurt.server.agent import run
    from yurt.server.config.agent import AgentConfig
    from yurt.server.config.load import ConfigError, load

    def read() -> AgentConfig:
        return load(list(paths), flags_of(dev, given))

    try:
        config = read()
    except ConfigError as error:
        fail(f"==> {error}")
    try:
        code = run(config, read)
    except (YurtError, OSError) as error:
        fail(f"==> Error starting agent: {error}")
    raise SystemExit(code)


def flags_of(dev: bool, given: dict[str, Any]) -> dict[str, Any]:
    """The flags as a piece of configuration."""
    renamed = {"bind": "bind_addr", "dc": "datacenter", "node": "name", "data_dir": "data_dir", "region": "region"}
    flags: dict[str, Any] = {key: given[name] for name, key in renamed.items() if given[name]}
    if given["log_level"]:
        flags["log_level"] = given["log_level"]
    if given["log_json"]:
        flags["log_json"] = True
    if given.get("acl_enabled"):
        flags["acl"] = {"enabled": True}
    if host := given.get("advertise"):
        flags["advertise"] = {"http": host, "rpc": host}
    server: dict[str, Any] = {}
    if given["server_mode"]:
        server["enabled"] = True
    if given["bootstrap_expect"] is not None:
        server["bootstrap_expect"] = given["bootstrap_expect"]
    if given.get("encrypt"):
        server["encrypt"] = given["encrypt"]
    if joined := [*given["retry_join"], *given["join"]]:
        server["server_join"] = {"retry_join": joined}
    client: dict[str, Any] = {
        key: given[key]
        for key in ("node_class", "node_pool", "network_interface", "state_dir", "alloc_dir")
        if given.get(key)
    }
    if given.get("servers"):
        client["servers"] = [one for text in given["servers"] for one in text.split(",")]
    if given.get("meta"):
        client["meta"] = dict(one.partition("=")[::2] for one in given["meta"])
    if given.get("client_mode") or dev:
        client["enabled"] = True
    if client:
        flags["client"] = client
    if dev:
        server |= {"enabled": True, "bootstrap_expect": 1}
        flags |= {"dev": True, "telemetry": {"prometheus_metrics": True}, "enable_debug": True}
    if server:
        flags["server"] = server
    return flags
