"""`yurt operator autopilot …`: how the leader looks after the servers."""

from __future__ import annotations

from typing import Any

import click

from yurt.server.cli.client import ApiError, Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import fail, missing_keys, pairs, print_json, table

PATH = "/v1/operator/autopilot/configuration"


@click.group()
def autopilot() -> None:
    """Show the servers' health and configure the treatment of dead ones."""


@autopilot.command(name="get-config")
@as_json
@api
def get_config(client: Client, as_json: bool) -> None:
    """Show the autopilot configuration."""
    found = client.get(PATH)
    if as_json:
        print_json(found)
        return
    keys = ("CleanupDeadServers", "LastContactThreshold", "MaxTrailingLogs", "MinQuorum", "ServerStabilizationTime")
    click.echo(pairs([(key, str(found[key]).lower() if isinstance(found[key], bool) else found[key]) for key in keys]))


@autopilot.command(name="set-config")
@click.option("--cleanup-dead-servers", type=bool, default=None, help="Remove servers that have been dead for long.")
@click.option(
    "--last-contact-threshold", default=None, help="Longest time without contact for a healthy server (200ms)."
)
@click.option(
    "--max-trailing-logs", type=int, default=None, help="Most log entries that a healthy server may be behind."
)
@click.option(
    "--min-quorum", type=int, default=None, help="Minimum number of voters; 0: as many as the cluster began with."
)
@click.option("--server-stabilization-time", default=None, help="Time that a new server listens before it votes (10s).")
@click.option("--cas-index", default="", help="Change it only if the configuration has this ModifyIndex.")
@api
def set_config(client: Client, cas_index: str, **given: Any) -> None:
    """Change the autopilot configuration; options that are left out keep their values."""
    names = {name: "".join(part.title() for part in name.split("_")) for name in given}
    changed = {names[name]: value for name, value in given.items() if value is not None}
    if not changed:
        fail("Error: name what to change; see -help")
    if client.put(PATH, {**client.get(PATH), **changed}, cas=cas_index):
        click.echo("Configuration updated!")
    else:
        fail("Configuration could not be atomically updated, please try again")


@autopilot.command(name="health")
@as_json
@api
def health(client: Client, as_json: bool) -> None:
    """Show each server's health; exit code 2 if one is not healthy."""
    try:
        found = client.get("/v1/operator/autopilot/health")
    except ApiError as error:
        if error.status != 429 or error.body is None:
            raise
        found = error.body
    if as_json:
        print_json(found)
    else:
        click.echo(pairs([("Healthy", str(found["Healthy"]).lower()), ("FailureTolerance", found["FailureTolerance"])]))
        rows = [
            (one["Name"], one["Address"], one["SerfStatus"], one["LastContact"], one["LastIndex"],
             str(one["Voter"]).lower(), str(one["Leader"]).lower(), str(one["Healthy"]).lower())
            for one in found["Servers"]
        ]  # fmt: skip
        header = ("Name", "Address", "Status", "LastContact", "LastIndex", "Voter", "Leader", "Healthy")
        click.echo("\n" + table(header, rows))
        if lacking := missing_keys(found["Servers"], "Name"):
            click.echo(lacking)
    if not found["Healthy"]:
        raise SystemExit(2)
