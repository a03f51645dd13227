"""`yurt job validate`: what registration would say of a job file."""

from __future__ import annotations

from collections.abc import Callable

import click

from yurt.server.cli.client import Client
from yurt.server.cli.jobfile import JobFile, job_file
from yurt.server.cli.options import GoFlags, api, no_color
from yurt.server.cli.output import fail, paint


@click.command(cls=GoFlags)
@job_file
@no_color
@api
def validate(client: Client, path: str, load: Callable[[], JobFile]) -> None:
    """Check the job in FILE (`-` for standard input); exit code 1 if it is invalid."""
    answer = client.put("/v1/validate/job", {"Job": load().job})
    if answer["Error"]:
        fail(f"Job validation errors:\n{answer['Error']}")
    if answer["Warnings"]:
        click.echo(paint(f"Job Warnings:\n{answer['Warnings']}\n", "yellow"))
    click.echo(paint("Job validation successful", "green", bold=True))
