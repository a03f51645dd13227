"""`yurt job periodic force`: launching a periodic job by hand."""

from __future__ import annotations

import click

from yurt.server.cli.client import Client, job_path
from yurt.server.cli.job_read import resolve
from yurt.server.cli.job_write import follow
from yurt.server.cli.options import api, detach, verbose


@click.group()
def periodic() -> None:
    """Manage periodic jobs."""


@periodic.command()
@click.argument("job_id", metavar="JOB")
@detach
@verbose
@api
def force(client: Client, job_id: str, detach: bool, verbose: bool) -> None:
    """Launch a child of a periodic job now, regardless of its schedule and its overlap rule."""
    answer = client.put(job_path(resolve(client, job_id), "periodic", "force"))
    click.echo("Force periodic successful")
    follow(client, answer, detach=detach, verbose=verbose)
