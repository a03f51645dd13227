"""`yurt job allocs|deployments|promote`: what became of a job's versions."""

from __future__ import annotations

import click

from yurt.server.cli.alloc_lookup import listing as alloc_listing
from yurt.server.cli.client import Client, job_path
from yurt.server.cli.deployment import listing, promote_deployment, shown
from yurt.server.cli.job_read import resolve
from yurt.server.cli.options import api, as_json, detach, verbose
from yurt.server.cli.output import fail, print_json


@click.command()
@click.argument("job_id")
@click.option("--all", "every", is_flag=True, help="Also show those of an earlier job with this ID.")
@as_json
@verbose
@api
def allocs(client: Client, job_id: str, every: bool, as_json: bool, verbose: bool) -> None:
    """List the allocations of a job."""
    query = {"all": "true"} if every else {}
    found = client.get(job_path(resolve(client, job_id), "allocations"), **query)
    if as_json:
        print_json(found)
    else:
        click.echo(alloc_listing(found, verbose))


@click.command()
@click.argument("job_id")
@click.option("--latest", is_flag=True, help="Show the newest deployment in full.")
@as_json
@verbose
@api
def deployments(client: Client, job_id: str, latest: bool, as_json: bool, verbose: bool) -> None:
    """List the deployments of a job."""
    found = resolve(client, job_id)
    answer = client.get(job_path(found, "deployment" if latest else "deployments"))
    if as_json:
        print_json(answer)
    elif not answer:
        click.echo("No deployments found")
    else:
        click.echo(shown(answer, verbose) if latest else listing(answer, verbose))


@click.command()
@click.argument("job_id")
@click.option("--group", "chosen", multiple=True, help="Promote this group only; repeatable.")
@detach
@verbose
@api
def promote(client: Client, job_id: str, chosen: tuple[str, ...], detach: bool, verbose: bool) -> None:
    """Promote the canaries of a job's newest deployment."""
    found = resolve(client, job_id)
    newest = client.get(job_path(found, "deployment"))
    if not newest:
        fail(f'Job "{found}" has no deployment to promote')
    promote_deployment(client, newest["ID"], chosen, detach=detach, verbose=verbose)
