"""`yurt operator raft …`: the servers of the Raft configuration."""

from __future__ import annotations

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, missing_keys, print_json, table


@click.group()
def raft() -> None:
    """Manage the servers of the Raft configuration."""


@raft.command(name="list-peers")
@click.option("--stale", is_flag=True, help="Answer without a leader.")
@as_json
@api
def list_peers(client: Client, stale: bool, as_json: bool) -> None:
    """List the servers of the Raft configuration."""
    servers = client.get("/v1/operator/raft/configuration", stale="true" if stale else "")["Servers"]
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
    if lacking := missing_keys(servers, "Node"):
        click.echo(lacking)


@raft.command(name="add-peer")
@click.option("--peer-id", required=True, help="The server's ID: DATA/server/node-id.")
@click.option("--peer-address", required=True, help="The server's peer address, HOST:PORT.")
@click.option("--name", default="", help="The server's name.")
@api
def add_peer(client: Client, peer_id: str, peer_address: str, name: str) -> None:
    """Add a server: it listens first, and votes once it has caught up.

    Servers started with retry_join join by themselves; this is for those without it.
    """
    client.put("/v1/operator/raft/peer", id=peer_id, address=peer_address, name=name)
    click.echo(f'Added peer with id "{peer_id}"')


@raft.command(name="remove-peer")
@click.option("--peer-id", required=True, help="The server's ID, as list-peers shows it.")
@api
def remove_peer(client: Client, peer_id: str) -> None:
    """Remove a server from the Raft configuration."""
    client.delete("/v1/operator/raft/peer", id=peer_id)
    click.echo(f'Removed peer with id "{peer_id}"')


@raft.command(name="transfer-leadership")
@click.option("--peer-id", default="", help="The next leader's ID.")
@click.option("--peer-address", default="", help="The next leader's peer address.")
@api
def transfer_leadership(client: Client, peer_id: str, peer_address: str) -> None:
    """Transfer leadership to another server."""
    if bool(peer_id) == bool(peer_address):
        fail("Error: give one of -peer-id and -peer-address")
    body = client.put("/v1/operator/raft/transfer-leadership", id=peer_id, address=peer_address)
    if body["Noop"]:
        click.echo("That server leads already")
    else:
        click.echo(f"Leadership went from {body['From']['Address']} to {body['To']['Address']}")
