"""`yurt namespace list|status|inspect|apply|delete`: spaces of job IDs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from yurt.server.cli.client import ApiError, Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, paint, pairs, print_json, table
from yurt.server.cli.spec_file import read_spec, renamed

_FIELDS = {
    "name": "Name", "description": "Description", "quota": "Quota", "meta": "Meta", "capabilities": "Capabilities",
    "node_pool_config": "NodePoolConfiguration", "vault": "VaultConfiguration", "consul": "ConsulConfiguration",
}  # fmt: skip
_CAPABILITIES = {
    "enabled_task_drivers": "EnabledTaskDrivers", "disabled_task_drivers": "DisabledTaskDrivers",
    "enabled_network_modes": "EnabledNetworkModes", "disabled_network_modes": "DisabledNetworkModes",
}  # fmt: skip


@click.group()
def namespace() -> None:
    """Manage namespaces."""


def _read(client: Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/namespace/{quote(name, safe='')}")
    return found


@namespace.command(name="list")
@as_json
@api
def list_(client: Client, as_json: bool) -> None:
    """List the namespaces."""
    found = client.get("/v1/namespaces")
    if as_json:
        print_json(found)
    else:
        click.echo(table(("Name", "Description"), [(one["Name"], one["Description"] or "<none>") for one in found]))


@namespace.command()
@click.argument("name")
@as_json
@api
def status(client: Client, name: str, as_json: bool) -> None:
    """Show one namespace."""
    one = _read(client, name)
    if as_json:
        print_json(one)
        return
    allowed = one["Capabilities"] or {}
    rows = [(text, one[key] or "<none>") for text, key in (("Name", "Name"), ("Description", "Description"))]
    rows.append(("Quota", one["Quota"] or "<none>"))
    for text, key, default in (
        ("EnabledDrivers", "EnabledTaskDrivers", "*"),
        ("DisabledDrivers", "DisabledTaskDrivers", "<none>"),
        ("EnabledNetworkModes", "EnabledNetworkModes", "*"),
        ("DisabledNetworkModes", "DisabledNetworkModes", "<none>"),
    ):
        rows.append((text, ",".join(allowed.get(key) or ()) or default))
    click.echo(pairs(rows))
    if one["Meta"]:
        click.echo("\n" + paint("Metadata", "white", bold=True) + "\n" + pairs(sorted(one["Meta"].items())))


@namespace.command()
@click.argument("name")
@api
def inspect(client: Client, name: str) -> None:
    """Print one namespace as JSON."""
    print_json(_read(client, name))


@namespace.command()
@click.argument("name_or_file", metavar="NAME|FILE")
@click.option("--description", default=None, help="Description of the namespace.")
@click.option("--quota", default=None, help="Quota of the namespace's jobs.")
@click.option("--json", "given_json", is_flag=True, help="Read the file as JSON.")
@api
def apply(client: Client, name_or_file: str, description: str | None, quota: str | None, given_json: bool) -> None:
    """Create or update a namespace, given by name or described in a file (`-` for standard input)."""
    if name_or_file == "-" or Path(name_or_file).is_file():
        if description is not None or quota is not None:
            fail("Error: with a file, -description and -quota belong into it")
        body = renamed(read_spec(name_or_file, given_json=given_json), _FIELDS, "namespace")
        if isinstance(body.get("Capabilities"), dict):
            body["Capabilities"] = renamed(body["Capabilities"], _CAPABILITIES, "namespace's capabilities")
    else:
        body = _stored_or_new(client, name_or_file)
        body |= {"Description": description} if description is not None else {}
        body |= {"Quota": quota} if quota is not None else {}
    client.put("/v1/namespace", body)
    click.echo(f'Successfully applied namespace "{body.get("Name", "")}"!')


def _stored_or_new(client: Client, name: str) -> dict[str, Any]:
    try:
        return _read(client, name)
    except ApiError as error:
        if error.status != 404:
            raise
        return {"Name": name}


@namespace.command()
@click.argument("name")
@api
def delete(client: Client, name: str) -> None:
    """Delete a namespace that has no jobs."""
    client.delete(f"/v1/namespace/{quote(name, safe='')}")
    click.echo(f'Successfully deleted namespace "{name}"!')
