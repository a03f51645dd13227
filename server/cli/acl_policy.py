"""`yurt acl policy apply|list|info|delete|self`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, paint, pairs, print_json, table


@click.group()
def policy() -> None:
    """Manage ACL policies, which are sets of rules."""


def _path(name: str) -> str:
    return f"/v1/acl/policy/{quote(name, safe='')}"


def _listed(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found:
        click.echo(table(("Name", "Description"), [(one["Name"], one["Description"] or "<none>") for one in found]))
    else:
        click.echo("No policies found")


@policy.command()
@click.argument("name")
@click.argument("file", metavar="FILE")
@click.option("--description", default="", help="Description of the policy.")
@click.option("--job", default="", help="Also grant it to this job's workloads, without a token (with -namespace).")
@click.option("--group", default="", help="Grant it to this group of the job only.")
@click.option("--task", default="", help="Grant it to this task of the group only.")
@api
def apply(client: Client, name: str, file: str, description: str, job: str, group: str, task: str) -> None:
    """Create or replace the policy NAME with the rules in FILE (HCL or JSON; `-` for standard input)."""
    try:
        rules = sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        fail(f"Error: {file}: {error.strerror}")
    body: dict[str, Any] = {"Name": name, "Description": description, "Rules": rules}
    if job or group or task:
        body["JobACL"] = {"Namespace": client.namespace or "default", "JobID": job, "Group": group, "Task": task}
    client.put(_path(name), body)
    click.echo(f'Successfully wrote "{name}" ACL policy!')


@policy.command(name="list")
@as_json
@api
def list_(client: Client, as_json: bool) -> None:
    """List the policies: all for a management token, else the token's own."""
    _listed(client.get("/v1/acl/policies"), as_json)


@policy.command(name="self")
@as_json
@api
def self_(client: Client, as_json: bool) -> None:
    """List the policies of the token in use."""
    _listed(client.get("/v1/acl/policy/self"), as_json)


@policy.command()
@click.argument("name")
@as_json
@api
def info(client: Client, name: str, as_json: bool) -> None:
    """Show one policy."""
    one = client.get(_path(name))
    if as_json:
        print_json(one)
        return
    rows = [
        (key, one[key] if one[key] != "" else "<none>") for key in ("Name", "Description", "CreateIndex", "ModifyIndex")
    ]
    if link := one["JobACL"]:
        rows += [(key, link[key] or "<any>") for key in ("Namespace", "JobID", "Group", "Task")]
    click.echo(pairs(rows))
    click.echo("\n" + paint("Rules", "white", bold=True) + "\n\n" + one["Rules"])


@policy.command()
@click.argument("name")
@api
def delete(client: Client, name: str) -> None:
    """Delete a policy; tokens and roles that name it keep the name, which grants nothing."""
    client.delete(_path(name))
    click.echo(f'Successfully deleted "{name}" ACL policy!')
