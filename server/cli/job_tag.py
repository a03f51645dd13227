"""`yurt job tag apply|unset`: names for versions, which are kept as long as they have one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from yurt.server.cli.client import Client, job_path
from yurt.server.cli.job_read import resolve
from yurt.server.cli.options import api
from yurt.server.cli.output import fail


@click.group()
def tag() -> None:
    """Manage tags, which name versions of jobs."""


def _path(client: Client, given: str, name: str) -> tuple[str, str]:
    """The job's whole ID and the path of its tag."""
    if not name:
        fail("Error: a tag needs a name: -name NAME")
    found = resolve(client, given)
    return found, job_path(found, "versions", quote(name, safe=""), "tag")


@tag.command(name="apply")
@click.argument("job_id", metavar="JOB")
@click.option("--name", default="", help="Name of the tag.")
@click.option("--version", "version", type=click.IntRange(min=0), help="Version to tag (default: the newest).")
@click.option("--description", default="", help="Description of the tag.")
@api
def apply(client: Client, job_id: str, name: str, version: int | None, description: str) -> None:
    """Tag a version of a job; a version has one tag, and a tag one version."""
    found, path = _path(client, job_id, name)
    if version is None:
        version = client.get(job_path(found))["Version"]
    request: dict[str, Any] = {"Version": version, "Description": description}
    client.put(path, request)
    click.echo(f'Job version {version} tagged with name "{name}"')


@tag.command()
@click.argument("job_id", metavar="JOB")
@click.option("--name", default="", help="Name of the tag.")
@api
def unset(client: Client, job_id: str, name: str) -> None:
    """Remove a tag; its version may then be discarded like other old versions."""
    found, path = _path(client, job_id, name)
    client.delete(path)
    click.echo(f'Tag "{name}" removed from job "{found}"')
