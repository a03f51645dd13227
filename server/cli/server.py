"""`yurt server members`: the servers of the cluster."""

from __future__ import annotations

import sys
from urllib.parse import urlencode

import click

from yurt.server.cli.client import ApiError, Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, print_json, table


@click.group()
def server() -> None:
    """Manage the servers."""


@server.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@api
def join(client: Client, addresses: tuple[str, ...]) -> None:
    """Join the server to others by their peer addresses."""
    body = client.put("/v1/agent/join?" + urlencode([("address", one) for one in addresses]))
    if body["error"]:
        fail(f"Error joining: {body['error']}")
    click.echo(f"Joined {body['num_joined']} servers successfully")


@server.command(name="force-leave")
@click.argument("node")
@api
def force_leave(client: Client, node: str) -> None:
    """Remove the dead server NODE from the cluster."""
    client.put("/v1/agent/force-leave", node=node)


@server.command()
@click.option("--detailed", is_flag=True, help="Show every tag, including whether a server proved the cluster secret.")
@as_json
@api
def members(client: Client, detailed: bool, as_json: bool) -> None:
    """List the servers, with the leader marked."""
    body = client.get("/v1/agent/members")
    if as_json:
        print_json(body["Members"])
        return
    if detailed:
        tagged = [
            (
                member["Name"],
                member["Addr"],
                member["Port"],
                ",".join(f"{k}={v}" for k, v in sorted(member["Tags"].items())),
            )
            for member in sorted(body["Members"], key=lambda member: member["Name"])
        ]
        click.echo(table(("Name", "Address", "Port", "Tags"), tagged))
        return
    problem = ""
    try:
        leader = client.get("/v1/status/leader")
    except ApiError as error:
        leader, problem = "", str(error)
    rows = []
    for member in sorted(body["Members"], key=lambda member: member["Name"]):
        tags = member["Tags"]
        is_leader = f"{tags['rpc_addr']}:{tags['port']}" == leader
        rows.append(
            (
                member["Name"],
                member["Addr"],
                member["Port"],
                member["Status"],
                str(is_leader).lower(),
                tags["raft_vsn"],
                tags["build"],
                tags["dc"],
                tags["region"],
            )
        )
    header = ("Name", "Address", "Port", "Status", "Leader", "Raft Version", "Build", "Datacenter", "Region")
    click.echo(table(header, rows))
    if problem:
        sys.stdout.flush()
        fail(f'\nError determining leaders: 1 error occurred:\n\t* Region "{body["ServerRegion"]}": {problem}')
