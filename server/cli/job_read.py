"""`yurt job status|inspect`: looking at jobs."""

from __future__ import annotations

from typing import Any

import click

from yurt.server.cli.alloc_lookup import listing as alloc_listing
from yurt.server.cli.client import ApiError, Client, job_path
from yurt.server.cli.deployment import shown
from yurt.server.cli.job_children import is_parent, parent_status
from yurt.server.cli.options import api, as_json, verbose
from yurt.server.cli.output import date, fail, paint, pairs, print_json, table


def resolve(client: Client, given: str) -> str:
    """The ID of the one job that `given` names: the whole ID or a prefix that only one job has."""
    stubs = client.get("/v1/jobs", prefix=given)
    if any(stub["ID"] == given for stub in stubs):
        return given
    if len(stubs) == 1:
        found: str = stubs[0]["ID"]
        return found
    if not stubs:
        fail(f'No job(s) with prefix or ID "{given}" found')
    fail(f'Prefix "{given}" matched multiple jobs\n\n{_listing(stubs)}')


def _listing(stubs: list[dict[str, Any]]) -> str:
    rows = []
    for stub in stubs:
        kind = stub["Type"] + (
            "/periodic" if stub["Periodic"] else "/parameterized" if stub["ParameterizedJob"] else ""
        )
        status = stub["Status"] + (" (stopped)" if stub["Stop"] else "")
        rows.append((stub["ID"], kind, stub["Priority"], status, date(stub["SubmitTime"])))
    return table(("ID", "Type", "Priority", "Status", "Submit Date"), rows)


@click.command()
@click.argument("job_id", required=False)
@as_json
@verbose
@api
def status(client: Client, job_id: str | None, as_json: bool, verbose: bool) -> None:
    """Show all jobs, or one of them with its summary, deployment and allocations."""
    if job_id is None:
        stubs = client.get("/v1/jobs")
        if as_json:
            print_json(stubs)
        else:
            click.echo(_listing(stubs) if stubs else "No running jobs")
        return
    found = resolve(client, job_id)
    job = client.get(job_path(found))
    summary = client.get(job_path(found, "summary"))
    deployment = client.get(job_path(found, "deployment"))
    allocations = client.get(job_path(found, "allocations"))
    if as_json:
        print_json({"Job": job, "Summary": summary, "LatestDeployment": deployment, "Allocations": allocations})
        return
    click.echo(_overview(job))
    if is_parent(job):
        click.echo("\n" + parent_status(client, job, summary))
        return
    click.echo("\n" + paint("Summary", "white", bold=True) + "\n" + _summary(summary))
    if deployment:
        click.echo("\n" + paint("Latest Deployment", "white", bold=True) + "\n" + shown(deployment, verbose))
    click.echo("\n" + paint("Allocations", "white", bold=True) + "\n" + alloc_listing(allocations, verbose))


def _overview(job: dict[str, Any]) -> str:
    return pairs(
        [
            ("ID", job["ID"]),
            ("Name", job["Name"]),
            ("Submit Date", date(job["SubmitTime"])),
            ("Type", job["Type"]),
            ("Priority", job["Priority"]),
            ("Datacenters", ",".join(job["Datacenters"] or ())),
            ("Namespace", job["Namespace"]),
            ("Node Pool", job["NodePool"]),
            ("Status", job["Status"] + (" (stopped)" if job["Stop"] else "")),
            ("Version", job["Version"]),
            ("Periodic", str(bool(job["Periodic"])).lower()),
            ("Parameterized", str(bool(job["ParameterizedJob"])).lower()),
        ]
    )


def _summary(summary: dict[str, Any]) -> str:
    columns = ("Queued", "Starting", "Running", "Failed", "Complete", "Lost", "Unknown")
    groups = sorted((summary["Summary"] or {}).items())
    text = table(("Task Group", *columns), [(name, *(counts[c] for c in columns)) for name, counts in groups])
    children = summary.get("Children") or {}
    if any(children.values()):
        states = ("Pending", "Running", "Dead")
        text += "\n\nChildren Job Summary\n" + table(states, [[children[s] for s in states]])
    return text


@click.command()
@click.argument("job_id")
@click.option("--version", "version", type=int, help="Show this version.")
@click.option("--hcl", is_flag=True, help="Print the source the job was submitted with.")
@click.option("--with-vars", is_flag=True, help="Also print the values of the source's variables.")
@as_json
@api
def inspect(client: Client, job_id: str, version: int | None, hcl: bool, with_vars: bool, as_json: bool) -> None:
    """Print the stored job, ready to be registered again."""
    found = resolve(client, job_id)
    if hcl or with_vars:
        _print_source(client, found, version, with_vars=with_vars)
        return
    if version is None:
        print_json({"Job": client.get(job_path(found))})
        return
    for job in client.get(job_path(found, "versions"))["Versions"]:
        if job["Version"] == version:
            print_json({"Job": job})
            return
    fail(f'job "{found}" has no version {version}')


def _print_source(client: Client, job_id: str, version: int | None, *, with_vars: bool) -> None:
    if version is None:
        version = client.get(job_path(job_id))["Version"]
    try:
        submission = client.get(job_path(job_id, "submission"), version=str(version))
    except ApiError as error:
        if error.status != 404:
            raise
        fail(f'No source is kept of version {version} of job "{job_id}"')
    if with_vars:
        for name, value in sorted((submission["VariableFlags"] or {}).items()):
            click.echo(f"# {name} = {value}")
        for line in submission["Variables"].splitlines():
            click.echo(f"# {line}")
    click.echo(submission["Source"].removesuffix("\n"))
