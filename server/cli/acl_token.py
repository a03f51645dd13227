"""`yurt acl token create|update|list|info|delete|self`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import pairs, print_json, table


@click.group()
def token() -> None:
    """Manage ACL tokens."""


def show(one: dict[str, Any], as_json: bool) -> None:
    """Print a token with its secret."""
    if as_json:
        print_json(one)
        return
    roles = ",".join(link["Name"] for link in one["Roles"] or ())
    rows = [
        ("Accessor ID", one["AccessorID"]),
        ("Secret ID", one["SecretID"]),
        ("Name", one["Name"] or "<none>"),
        ("Type", one["Type"]),
        ("Global", str(one["Global"]).lower()),
        ("Create Time", one["CreateTime"]),
        ("Expiry Time", one["ExpirationTime"] or "<none>"),
        ("Create Index", one["CreateIndex"]),
        ("Modify Index", one["ModifyIndex"]),
        ("Policies", ",".join(one["Policies"] or ()) or ("n/a" if one["Type"] == "management" else "<none>")),
        ("Roles", roles or "<none>"),
    ]
    click.echo(pairs(rows))


def _path(accessor_id: str) -> str:
    return f"/v1/acl/token/{quote(accessor_id, safe='')}"


@token.command()
@click.option("--name", default="", help="Human-readable name of the token.")
@click.option("--type", "kind", default="client", help="Type of the token: client or management.")
@click.option("--policy", "policies", multiple=True, help="Name of a policy; repeatable.")
@click.option("--role-name", "role_names", multiple=True, help="Name of a role; repeatable.")
@click.option("--role-id", "role_ids", multiple=True, help="ID of a role; repeatable.")
@click.option("--ttl", default="", help="Lifetime of the token, such as 8h (default: unlimited).")
@click.option("--global", "is_global", is_flag=True, help="Make the token valid in all regions.")
@as_json
@api
def create(
    client: Client, name: str, kind: str, policies: tuple[str, ...], role_names: tuple[str, ...],
    role_ids: tuple[str, ...], ttl: str, is_global: bool, as_json: bool,
) -> None:  # fmt: skip
    """Create a token and print it with its secret."""
    body: dict[str, Any] = {"Name": name, "Type": kind, "Policies": list(policies), "Global": is_global}
    body["Roles"] = [{"Name": one} for one in role_names] + [{"ID": one} for one in role_ids]
    if ttl:
        body["ExpirationTTL"] = ttl
    made = client.put("/v1/acl/token", body)
    show(made, as_json)


@token.command()
@click.argument("accessor_id")
@click.option("--name", default=None, help="New name of the token.")
@click.option("--type", "kind", default=None, help="Type of the token: client or management.")
@click.option(
    "--policy", "policies", multiple=True, help="Name of a policy that replaces the present ones; repeatable."
)
@click.option(
    "--role-name", "role_names", multiple=True, help="Name of a role that replaces the present ones; repeatable."
)
@as_json
@api
def update(
    client: Client, accessor_id: str, name: str | None, kind: str | None, policies: tuple[str, ...],
    role_names: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Update a token."""
    body = client.get(_path(accessor_id))
    body |= {key: value for key, value in (("Name", name), ("Type", kind)) if value is not None}
    if policies:
        body["Policies"] = list(policies)
    if role_names:
        body["Roles"] = [{"Name": one} for one in role_names]
    made = client.put(_path(accessor_id), body)
    show(made, as_json)


@token.command(name="list")
@as_json
@api
def list_(client: Client, as_json: bool) -> None:
    """List the tokens, without their secrets."""
    found = client.get("/v1/acl/tokens")
    if as_json:
        print_json(found)
        return
    rows = [
        (one["Name"] or "<none>", one["Type"], str(one["Global"]).lower(), one["AccessorID"],
         one["ExpirationTime"] or "<none>")
        for one in found
    ]  # fmt: skip
    click.echo(table(("Name", "Type", "Global", "Accessor ID", "Expires"), rows))


@token.command()
@click.argument("accessor_id")
@as_json
@api
def info(client: Client, accessor_id: str, as_json: bool) -> None:
    """Show one token with its secret."""
    show(client.get(_path(accessor_id)), as_json)


@token.command(name="self")
@as_json
@api
def self_(client: Client, as_json: bool) -> None:
    """Show the token in use."""
    show(client.get("/v1/acl/token/self"), as_json)


@token.command()
@click.argument("accessor_id")
@api
def delete(client: Client, accessor_id: str) -> None:
    """Delete a token; requests with it are refused from then on."""
    client.delete(_path(accessor_id))
    click.echo(f"Token {accessor_id} successfully deleted")
