"""`yurt node pool list|info|apply|delete`: sets of nodes that jobs name."""

from __future__ import annotations

from urllib.parse import quote

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, paint, pairs, print_json, table
from yurt.server.cli.spec_file import read_spec, renamed

_FIELDS = {
    "name": "Name", "description": "Description", "meta": "Meta", "node_identity_ttl": "NodeIdentityTTL",
    "scheduler_config": "SchedulerConfiguration",
}  # fmt: skip


@click.group()
def pool() -> None:
    """Manage node pools."""


@pool.command(name="list")
@as_json
@api
def list_(client: Client, as_json: bool) -> None:
    """List the node pools."""
    found = client.get("/v1/node/pools")
    if as_json:
        print_json(found)
    else:
        click.echo(table(("Name", "Description"), [(one["Name"], one["Description"] or "<none>") for one in found]))


@pool.command()
@click.argument("name")
@as_json
@api
def info(client: Client, name: str, as_json: bool) -> None:
    """Show one node pool."""
    one = client.get(f"/v1/node/pool/{quote(name, safe='')}")
    if as_json:
        print_json(one)
        return
    click.echo(pairs([("Name", one["Name"]), ("Description", one["Description"] or "<none>")]))
    click.echo("\n" + paint("Metadata", "white", bold=True))
    click.echo(pairs(sorted(one["Meta"].items())) if one["Meta"] else "No metadata")


@pool.command()
@click.argument("path", metavar="FILE")
@click.option("--json", "given_json", is_flag=True, help="Read the file as JSON.")
@api
def apply(client: Client, path: str, given_json: bool) -> None:
    """Create or update the node pool in FILE (`node_pool "NAME" { … }`, or JSON; `-` for standard input)."""
    found = read_spec(path, given_json=given_json)
    if isinstance(block := found.get("node_pool"), dict):
        if len(block) != 1:
            fail("Error: a file describes one node pool")
        [(name, members)] = block.items()
        found = {"name": name, **members}
    body = renamed(found, _FIELDS, "node pool")
    client.put("/v1/node/pools", body)
    click.echo(f'Successfully applied node pool "{body.get("Name", "")}"!')


@pool.command()
@click.argument("name")
@api
def delete(client: Client, name: str) -> None:
    """Delete an unused node pool."""
    client.delete(f"/v1/node/pool/{quote(name, safe='')}")
    click.echo(f'Successfully deleted node pool "{name}"!')
