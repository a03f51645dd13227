"""`yurt job restart`: a job's allocations are restarted, a batch at a time."""

from __future__ import annotations

import time
from typing import Any

import click

from yurt.fsm.lang.duration import parse_duration
from yurt.server.cli.client import ApiError, Client, job_path
from yurt.server.cli.options import api
from yurt.server.cli.output import fail

POLL_SECONDS, REPLACED_SECONDS_MAX = 0.3, 300.0


def batch_of(text: str, total: int) -> int:
    """How many at a time: a number, or a share such as `25%` (at least one); raises ValueError."""
    wanted = int(text.removesuffix("%"))
    if wanted <= 0:
        raise ValueError(text)
    return max(1, total * wanted // 100) if text.endswith("%") else wanted


def _waiting(text: str) -> float:
    try:
        return parse_duration(text) / 1e9 if text else 0.0
    except ValueError:
        fail(f'Error: -batch-wait wants a duration such as 10s, not "{text}"')


@click.command("restart")
@click.argument("job_id")
@click.option("--all-tasks", is_flag=True, help="Also restart tasks that have ended, from the first hook on.")
@click.option(
    "--batch-size", default="1", show_default=True, help="Allocations to restart at a time, or a share such as 25%."
)
@click.option("--batch-wait", default="", help="Time to wait between two batches, such as 10s.")
@click.option("--group", "groups", multiple=True, help="Restart this group only; repeatable.")
@click.option("--task", "tasks", multiple=True, help="Restart this task only; repeatable.")
@click.option("--reschedule", is_flag=True, help="Stop the allocations and wait for their replacements.")
@click.option("--no-shutdown-delay", is_flag=True, help="With -reschedule: skip the shutdown delays.")
@click.option(
    "--on-error", type=click.Choice(["ask", "fail"]), default="ask", help="On a failure, ask whether to go on, or fail."
)
@click.option("--yes", is_flag=True, help="Answer every question with yes.")
@api
def restart(
    client: Client, job_id: str, all_tasks: bool, batch_size: str, batch_wait: str, groups: tuple[str, ...],
    tasks: tuple[str, ...], reschedule: bool, no_shutdown_delay: bool, on_error: str, yes: bool,
) -> None:  # fmt: skip
    """Restart a job's running allocations in place, or replace them (-reschedule)."""
    if reschedule and (tasks or all_tasks):
        fail("Error: -reschedule restarts whole allocations: it goes with neither -task nor -all-tasks")
    if tasks and all_tasks:
        fail("Error: -task and -all-tasks exclude each other")
    found = [one for one in client.get(job_path(job_id, "allocations")) if one["ClientStatus"] == "running"]
    found = [one for one in found if not groups or one["TaskGroup"] in groups]
    if not found:
        click.echo("No allocations to restart")
        return
    try:
        size = batch_of(batch_size, len(found))
    except ValueError:
        fail(f'Error: -batch-size wants a number or a share such as 25%, not "{batch_size}"')
    wait, failures = _waiting(batch_wait), 0
    for start in range(0, len(found), size):
        if start and wait:
            time.sleep(wait)  # as the user asked
        for one in found[start : start + size]:
            try:
                _restart(client, one, tasks, all_tasks=all_tasks, reschedule=reschedule, no_delay=no_shutdown_delay)
                click.echo(f"{one['ID'][:8]}  {one['Name']}  {'replaced' if reschedule else 'restarted'}")
            except ApiError as error:
                failures += 1
                click.echo(f"{one['ID'][:8]}  {one['Name']}  {error}", err=True)
                if on_error == "fail" or not (yes or click.confirm("Go on with the others?")):
                    fail(f"Error: stopped after {start} of {len(found)} allocations")
    if failures:
        fail(f"Error: {failures} of {len(found)} allocations could not be restarted")


def _restart(
    client: Client, one: dict[str, Any], tasks: tuple[str, ...], *, all_tasks: bool, reschedule: bool, no_delay: bool
) -> None:
    """Raises ApiError."""
    if reschedule:
        query = {"no_shutdown_delay": "true"} if no_delay else {}
        client.put(f"/v1/allocation/{one['ID']}/stop", **query)
        _wait_for_successor(client, one)
        return
    for task in tasks or ("",):
        client.put(f"/v1/client/allocation/{one['ID']}/restart", {"TaskName": task, "AllTasks": all_tasks})


def _wait_for_successor(client: Client, one: dict[str, Any]) -> None:
    deadline = time.monotonic() + REPLACED_SECONDS_MAX
    while time.monotonic() < deadline:
        rows = client.get(job_path(one["JobID"], "allocations"))
        stopped = next((row for row in rows if row["ID"] == one["ID"]), None)
        following = (stopped or {}).get("NextAllocation")
        if following and any(row["ID"] == following and row["ClientStatus"] == "running" for row in rows):
            return
        time.sleep(POLL_SECONDS)  # the old and the new allocation are followed together
    raise ApiError(0, f"nothing has replaced it within {REPLACED_SECONDS_MAX:.0f} s")
