"""`yurt node meta apply|read`: meta of a node, changed while it runs."""

from __future__ import annotations

from typing import Any

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, pairs, print_json


@click.group()
def meta() -> None:
    """Manage a node's metadata: the asked agent's node, or the one that -node-id names."""


def _query(node_id: str) -> dict[str, str]:
    return {"node_id": node_id} if node_id else {}


@meta.command()
@click.argument("changes", nargs=-1, metavar="KEY=VALUE...")
@click.option("--node-id", default="", help="Full ID of the node.")
@click.option("--unset", default="", help="Comma-separated keys to remove.")
@api
def apply(client: Client, changes: tuple[str, ...], node_id: str, unset: str) -> None:
    """Set or remove metadata keys."""
    found: dict[str, str | None] = dict.fromkeys(filter(None, unset.split(",")))
    for one in changes:
        key, equals, value = one.partition("=")
        if not equals:
            fail(f'Error: "{one}" is not KEY=VALUE')
        found[key] = value
    if not found:
        fail("Error: give KEY=VALUE or -unset")
    client.request("POST", "/v1/client/metadata", query=_query(node_id), body={"Meta": found})


@meta.command()
@click.option("--node-id", default="", help="Full ID of the node.")
@as_json
@api
def read(client: Client, node_id: str, as_json: bool) -> None:
    """Show the metadata in effect, and where it comes from."""
    found: dict[str, Any] = client.get("/v1/client/metadata", **_query(node_id))
    if as_json:
        print_json(found)
        return
    for title, key in (("All Meta", "Meta"), ("Dynamic Meta", "Dynamic"), ("Static Meta", "Static")):
        rows = sorted((name, "<unset>" if value is None else value) for name, value in (found[key] or {}).items())
        click.echo(f"{title}\n{pairs(rows) if rows else '<none>'}\n")
