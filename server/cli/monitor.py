"""`yurt monitor`: what an agent logs, as it logs it."""

from __future__ import annotations

import sys

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api


@click.command()
@click.option("--log-level", default="INFO", show_default=True, help="TRACE, DEBUG, INFO, WARN or ERROR.")
@click.option("--node-id", default="", help="Of this node's agent.")
@click.option("--server-id", default="", help="Of this server: its ID or name, or `leader`.")
@click.option("--json", "as_json", is_flag=True, help="Lines as JSON.")
@api
def monitor(client: Client, log_level: str, node_id: str, server_id: str, as_json: bool) -> None:
    """Show what an agent logs until Ctrl-C."""
    query = {"log_level": log_level, "node_id": node_id, "server_id": server_id, "plain": "true"}
    if as_json:
        query["log_json"] = "true"
    try:
        for piece in client.stream("/v1/agent/monitor", **query):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        raise SystemExit(0) from None
