"""`yurt alloc restart|signal|checks`: what is done with running tasks, and how their services are."""

from __future__ import annotations

import click

from yurt.server.cli.alloc_lookup import resolve
from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json
from yurt.server.cli.output import print_json, table


@click.command()
@click.argument("alloc_id")
@click.argument("task", required=False, default="")
@click.option("--task", "named", default="", help="Act on this task only.")
@click.option("--all-tasks", is_flag=True, help="Also restart tasks that have ended, from the first hook on.")
@api
def restart(client: Client, alloc_id: str, task: str, named: str, all_tasks: bool) -> None:
    """Restart the running tasks of an allocation, or one of them, in place."""
    body = {"TaskName": named or task, "AllTasks": all_tasks}
    client.put(f"/v1/client/allocation/{resolve(client, alloc_id)}/restart", body)


@click.command()
@click.argument("alloc_id")
@click.argument("task", required=False, default="")
@click.option("--task", "named", default="", help="Act on this task only.")
@click.option("-s", "name", default="SIGKILL", show_default=True, help="Name of the signal.")
@api
def signal(client: Client, alloc_id: str, task: str, named: str, name: str) -> None:
    """Send a signal to the tasks of an allocation, or to one of them."""
    body = {"Task": named or task, "Signal": name}
    client.put(f"/v1/client/allocation/{resolve(client, alloc_id)}/signal", body)


@click.command()
@click.argument("alloc_id")
@as_json
@api
def checks(client: Client, alloc_id: str, as_json: bool) -> None:
    """Show the newest results of an allocation's health checks."""
    found = client.get(f"/v1/client/allocation/{resolve(client, alloc_id)}/checks")
    if as_json:
        print_json(found)
        return
    rows = [
        (one["Service"], one.get("Task") or "(group)", one["Check"], one["Mode"], one["Status"], one.get("Output", ""))
        for one in sorted(found.values(), key=lambda one: (one["Service"], one["Check"]))
    ]
    click.echo(table(("Service", "Task", "Name", "Mode", "Status", "Output"), rows) if rows else "No checks")
