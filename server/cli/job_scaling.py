"""`yurt job scaling-events`: who asked for which count, and when."""

from __future__ import annotations

from typing import Any

import click

from yurt.server.cli.client import Client, job_path
from yurt.server.cli.job_read import resolve
from yurt.server.cli.options import api, as_json, verbose
from yurt.server.cli.output import date, print_json, short, table


@click.command(name="scaling-events")
@click.argument("job_id", metavar="JOB")
@as_json
@verbose
@api
def scaling_events(client: Client, job_id: str, as_json: bool, verbose: bool) -> None:
    """List the latest scaling events of a job's groups, newest first."""
    groups = client.get(job_path(resolve(client, job_id), "scale"))["TaskGroups"]
    events = {name: group["Events"] or [] for name, group in groups.items()}
    if as_json:
        print_json(events)
        return
    found = [(name, one) for name, listed in sorted(events.items()) for one in listed]
    if not found:
        click.echo("No events found")
        return
    found.sort(key=lambda entry: -entry[1]["Time"])
    header: tuple[str, ...] = ("Task Group", "Count", "PrevCount", "Date")
    if verbose:
        header = ("Task Group", "Count", "PrevCount", "Error", "Message", "Eval ID", "Date")
    click.echo(table(header, [_row(name, one, verbose) for name, one in found]))


def _row(name: str, event: dict[str, Any], verbose: bool) -> tuple[Any, ...]:
    count = "<nil>" if event["Count"] is None else event["Count"]
    told = (str(event["Error"]).lower(), event["Message"], short(event["EvalID"] or "", True) or "<nil>")
    return (name, count, event["PreviousCount"], *(told if verbose else ()), date(event["Time"]))
