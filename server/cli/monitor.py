"""`yurt monitor`: what an agent logs, as it logs it."""

from __future__ import annotations

import sys

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api


@click.command()
@click.option(
    "--log-level", default="INFO", show_default=True, help="Lowest level to show: TRACE, DEBUG, INFO, WARN or ERROR."
)
@click.option("--node-id", default="", help="ID of the node whose agent to monitor.")
@click.option("--server-id", default="", help="ID or name of the server to monitor, or `leader`.")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON.")
@api
def monitor(client: Client, log_level: str, node_id: str, server_id: str, as_json: bool) -> None:
    """Stream an agent's log until Ctrl-C."""
    query = {"log_level": log_level, "node_id": node_id, "server_id": server_id, "plain": "true"}
    if as_json:
        query["log_json"] = "true"
    try:
        for piece in client.stream("/v1/agent/monitor", **query):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        raise SystemExit(0) from None
