"""`yurt alloc`: allocations, their tasks and events."""

from __future__ import annotations

from typing import Any

import click

from yurt.server.cli import alloc_control, alloc_exec, alloc_files
from yurt.server.cli.alloc_lookup import resolve
from yurt.server.cli.client import Client
from yurt.server.cli.evaluation import monitor
from yurt.server.cli.options import api, as_json, detach, verbose
from yurt.server.cli.output import ago, date, paint, pairs, print_json, short, table


@click.group()
def alloc() -> None:
    """Inspect allocations and their tasks' output; run commands in them, restart or stop them."""


for command in (
    alloc_files.logs,
    alloc_files.fs,
    alloc_exec.execute,
    alloc_control.restart,
    alloc_control.signal,
    alloc_control.checks,
):
    alloc.add_command(command)


@alloc.command()
@click.argument("alloc_id")
@as_json
@verbose
@api
def status(client: Client, alloc_id: str, as_json: bool, verbose: bool) -> None:
    """Show one allocation with its tasks and their events."""
    one = client.get(f"/v1/allocation/{resolve(client, alloc_id)}")
    if as_json:
        print_json(one)
        return
    click.echo(_overview(one, verbose))
    for name, state in sorted((one.get("TaskStates") or {}).items()):
        title = f'Task "{name}" is "{state["State"]}"' + (" (failed)" if state["Failed"] else "")
        click.echo("\n" + paint(title, "white", bold=True) + "\n" + _task(state))


def _overview(one: dict[str, Any], verbose: bool) -> str:
    rows = [
        ("ID", short(one["ID"], verbose)),
        ("Eval ID", short(one["EvalID"], verbose)),
        ("Name", one["Name"]),
        ("Node ID", short(one["NodeID"], verbose)),
        ("Node Name", one.get("NodeName", "")),
        ("Job ID", one["JobID"]),
        ("Job Version", one["Job"]["Version"]),
        ("Client Status", one["ClientStatus"]),
        ("Client Description", one.get("ClientDescription") or "<none>"),
        ("Desired Status", one["DesiredStatus"]),
        ("Desired Description", one.get("DesiredDescription") or "<none>"),
        ("Created", ago(one["CreateTime"])),
        ("Modified", ago(one["ModifyTime"])),
    ]
    if deployment := one.get("DeploymentID"):
        health = (one.get("DeploymentStatus") or {}).get("Healthy")
        shown = {True: "healthy", False: "unhealthy"}.get(health, "unset") if health is not None else "unset"
        rows += [("Deployment ID", short(deployment, verbose)), ("Deployment Health", shown)]
    for key, label in (("PreviousAllocation", "Replaces"), ("NextAllocation", "Replaced by")):
        if other := one.get(key):
            rows.append((label, short(other, verbose)))
    return pairs(rows)


def _task(state: dict[str, Any]) -> str:
    rows = [
        ("Started At", state["StartedAt"] or "N/A"),
        ("Finished At", state["FinishedAt"] or "N/A"),
        ("Total Restarts", state["Restarts"]),
        ("Last Restart", state["LastRestart"] or "N/A"),
    ]
    events = [
        (date(event["Time"]), event["Type"], event["DisplayMessage"]) for event in reversed(state["Events"] or ())
    ]
    return pairs(rows) + "\n\nRecent Events:\n" + table(("Time", "Type", "Description"), events)


@alloc.command()
@click.argument("alloc_id")
@click.option("--no-shutdown-delay", is_flag=True, help="Skip the shutdown delays.")
@detach
@verbose
@api
def stop(client: Client, alloc_id: str, no_shutdown_delay: bool, detach: bool, verbose: bool) -> None:
    """Stop one allocation; another takes its place."""
    found = resolve(client, alloc_id)
    query = {"no_shutdown_delay": "true"} if no_shutdown_delay else {}
    answer = client.put(f"/v1/allocation/{found}/stop", **query)
    if detach:
        click.echo(answer["EvalID"])
        return
    if code := monitor(client, answer["EvalID"], verbose=verbose):
        raise SystemExit(code)
