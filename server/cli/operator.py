"""`yurt operator`: looking after a cluster."""

from __future__ import annotations

import click

from yurt.server.cli.client import Client
from yurt.server.cli.operator_raft import inspect, recover
from yurt.server.cli.operator_snapshot import snapshot, state
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import print_json, table


@click.group()
def operator() -> None:
    """Look after the cluster."""


@operator.group()
def raft() -> None:
    """Look at Raft."""


operator.add_command(snapshot)
operator.add_command(state)
raft.add_command(inspect)
raft.add_command(recover)


@raft.command(name="list-peers")
@as_json
@api
def list_peers(client: Client, as_json: bool) -> None:
    """List the servers of the Raft configuration."""
    servers = client.get("/v1/operator/raft/configuration")["Servers"]
    if as_json:
        print_json(servers)
        return
    rows = [
        (
            one["Node"],
            one["ID"],
            one["Address"],
            "leader" if one["Leader"] else "follower",
            str(one["Voter"]).lower(),
            one["RaftProtocol"],
        )
        for one in servers
    ]
    click.echo(table(("Node", "ID", "Address", "State", "Voter", "RaftProtocol"), rows))
