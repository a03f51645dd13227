"""`yurt acl role create|update|list|info|delete`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import pairs, print_json, table


@click.group()
def role() -> None:
    """Manage ACL roles, which are named sets of policies."""


def _path(role_id: str) -> str:
    return f"/v1/acl/role/{quote(role_id, safe='')}"


def _names(one: dict[str, Any]) -> str:
    return ",".join(link["Name"] for link in one["Policies"] or ())


def _show(one: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    rows = [(key, one[key] or "<none>") for key in ("ID", "Name", "Description")]
    click.echo(pairs([*rows, ("Policies", _names(one)), ("Create Index", one["CreateIndex"])]))


@role.command()
@click.option("--name", required=True, help="Name of the role.")
@click.option("--description", default="", help="Description of the role.")
@click.option("--policy", "policies", multiple=True, required=True, help="Name of a policy; repeatable.")
@as_json
@api
def create(client: Client, name: str, description: str, policies: tuple[str, ...], as_json: bool) -> None:
    """Create a role."""
    body = {"Name": name, "Description": description, "Policies": [{"Name": one} for one in policies]}
    _show(client.put("/v1/acl/role", body), as_json)


@role.command()
@click.argument("role_id")
@click.option("--name", default=None, help="New name of the role.")
@click.option("--description", default=None, help="Description of the role.")
@click.option(
    "--policy", "policies", multiple=True, help="Name of a policy that replaces the present ones; repeatable."
)
@as_json
@api
def update(
    client: Client, role_id: str, name: str | None, description: str | None, policies: tuple[str, ...], as_json: bool
) -> None:
    """Update a role."""
    body = client.get(_path(role_id))
    body |= {key: value for key, value in (("Name", name), ("Description", description)) if value is not None}
    if policies:
        body["Policies"] = [{"Name": one} for one in policies]
    _show(client.put(_path(role_id), body), as_json)


@role.command(name="list")
@as_json
@api
def list_(client: Client, as_json: bool) -> None:
    """List the roles: all for a management token, else the token's own."""
    found = client.get("/v1/acl/roles")
    if as_json:
        print_json(found)
        return
    rows = [(one["ID"], one["Name"], one["Description"] or "<none>", _names(one)) for one in found]
    click.echo(table(("ID", "Name", "Description", "Policies"), rows))


@role.command()
@click.argument("role_id")
@click.option("--by-name", is_flag=True, help="Take ROLE_ID as the role's name.")
@as_json
@api
def info(client: Client, role_id: str, by_name: bool, as_json: bool) -> None:
    """Show one role."""
    path = f"/v1/acl/role/name/{quote(role_id, safe='')}" if by_name else _path(role_id)
    _show(client.get(path), as_json)


@role.command()
@click.argument("role_id")
@api
def delete(client: Client, role_id: str) -> None:
    """Delete a role; its tokens keep their other permissions."""
    client.delete(_path(role_id))
    click.echo(f"ACL role {role_id} successfully deleted")
