"""`yurt deployment`: versions being rolled out."""

from __future__ import annotations

import time
from typing import Any

import click

from yurt.server.cli.client import Client
from yurt.server.cli.evaluation import monitor
from yurt.server.cli.options import api, as_json, detach, verbose
from yurt.server.cli.output import now_text, pairs, print_json, short, table
from yurt.server.cli.resolve import only_match

POLL_SECONDS = 0.5
ENDED = ("successful", "failed", "cancelled", "blocked")


@click.group()
def deployment() -> None:
    """Inspect, promote, pause, resume and fail deployments."""


def listing(deployments: list[dict[str, Any]], verbose: bool = False) -> str:
    """Deployments as a table, newest first."""
    rows = [
        (short(one["ID"], verbose), one["JobID"], one["JobVersion"], one["Status"], one["StatusDescription"])
        for one in sorted(deployments, key=lambda one: -one["CreateIndex"])
    ]
    return table(("ID", "Job ID", "Job Version", "Status", "Description"), rows)


def resolve(client: Client, given: str) -> str:
    """The ID of the one deployment that a prefix names."""
    return only_match(client, "/v1/deployments", given, "deployment", listing)


def groups(one: dict[str, Any]) -> str:
    """How far each group is."""
    states = sorted((one["TaskGroups"] or {}).items())
    columns = [("DesiredTotal", "Desired"), ("PlacedAllocs", "Placed"), ("HealthyAllocs", "Healthy")]
    columns.append(("UnhealthyAllocs", "Unhealthy"))
    if any(state["DesiredCanaries"] for _, state in states):
        columns = [("Promoted", "Promoted"), columns[0], ("DesiredCanaries", "Canaries"), *columns[1:]]
    rows = [(name, *(str(state[key]).lower() for key, _ in columns)) for name, state in states]
    return table(("Task Group", *(label for _, label in columns)), rows)


def shown(one: dict[str, Any], verbose: bool = False) -> str:
    """One deployment in full."""
    rows = [
        ("ID", short(one["ID"], verbose)),
        ("Job ID", one["JobID"]),
        ("Job Version", one["JobVersion"]),
        ("Status", one["Status"]),
        ("Description", one["StatusDescription"]),
    ]
    return pairs(rows) + "\n\nDeployed\n" + groups(one)


@deployment.command(name="list")
@click.option("--filter", "expression", default="", help="Show only the deployments that match this expression.")
@as_json
@verbose
@api
def list_(client: Client, expression: str, as_json: bool, verbose: bool) -> None:
    """List all deployments."""
    found = client.get("/v1/deployments", filter=expression)
    if as_json:
        print_json(found)
    else:
        click.echo(listing(found, verbose) if found else "No deployments found")


@deployment.command()
@click.argument("deployment_id")
@click.option("--monitor", "follow", is_flag=True, help="Wait until the deployment ends.")
@as_json
@verbose
@api
def status(client: Client, deployment_id: str, follow: bool, as_json: bool, verbose: bool) -> None:
    """Show one deployment."""
    found = resolve(client, deployment_id)
    one = client.get(f"/v1/deployment/{found}")
    if as_json:
        print_json(one)
        return
    click.echo(shown(one, verbose))
    if follow and (code := watch(client, found)):
        raise SystemExit(code)


def watch(client: Client, deployment_id: str) -> int:
    """Follow a deployment to its end; the exit code: 0 if it succeeded, 1 if not."""
    told = ""
    while True:
        one = client.get(f"/v1/deployment/{deployment_id}")
        text = f"{one['Status']}: {one['StatusDescription']}\n{groups(one)}"
        if text != told:
            click.echo(f"{now_text()}: {text}")
            told = text
        if one["Status"] in ENDED:
            return 0 if one["Status"] == "successful" else 1
        time.sleep(POLL_SECONDS)  # so that a change is told with those that come right after it


def _follow(client: Client, answer: dict[str, Any], *, detach: bool, verbose: bool) -> None:
    """Tell what came back, then wait for the evaluation unless there is none or nobody wants to."""
    if (version := answer["RevertedJobVersion"]) is not None:
        click.echo(f"The job goes back to version {version}")
    if not answer["EvalID"]:
        return
    if detach:
        click.echo(f"Evaluation ID: {answer['EvalID']}")
    elif code := monitor(client, answer["EvalID"], verbose=verbose):
        raise SystemExit(code)


def promote_deployment(client: Client, found: str, chosen: tuple[str, ...], *, detach: bool, verbose: bool) -> None:
    """Promote all groups of a deployment, or those chosen."""
    body: dict[str, Any] = (
        {"DeploymentID": found, "Groups": list(chosen)} if chosen else {"DeploymentID": found, "All": True}
    )
    answer = client.put(f"/v1/deployment/promote/{found}", body)
    _follow(client, answer, detach=detach, verbose=verbose)


@deployment.command()
@click.argument("deployment_id")
@click.option("--group", "chosen", multiple=True, help="Promote this group only; repeatable.")
@detach
@verbose
@api
def promote(client: Client, deployment_id: str, chosen: tuple[str, ...], detach: bool, verbose: bool) -> None:
    """Promote the canaries: the other allocations follow."""
    promote_deployment(client, resolve(client, deployment_id), chosen, detach=detach, verbose=verbose)


def _verb(name: str, path: str, body: dict[str, Any], text: str) -> None:
    @deployment.command(name=name, help=text)
    @click.argument("deployment_id")
    @detach
    @verbose
    @api
    def command(client: Client, deployment_id: str, detach: bool, verbose: bool) -> None:
        found = resolve(client, deployment_id)
        answer = client.put(f"/v1/deployment/{path}/{found}", {"DeploymentID": found, **body})
        click.echo(f'Deployment "{short(found, verbose)}": {name} done')
        _follow(client, answer, detach=detach, verbose=verbose)


_verb("pause", "pause", {"Pause": True}, "Pause the rollout of a deployment.")
_verb("resume", "pause", {"Pause": False}, "Resume the rollout of a paused deployment.")
_verb("fail", "fail", {}, "Mark a deployment as failed and end it.")
_verb("unblock", "unblock", {}, "Unblock a deployment that waits for other regions.")
