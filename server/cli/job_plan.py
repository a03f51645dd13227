"""`yurt job plan`: what registering a job would change and do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from yurt.fsm.structs.times import from_rfc3339
from yurt.server.cli.client import ApiError, Client, job_path
from yurt.server.cli.diff_text import job_diff
from yurt.server.cli.evaluation import failures
from yurt.server.cli.job_write import read_job
from yurt.server.cli.options import GoFlags, api, no_color, verbose
from yurt.server.cli.output import fail, paint, short, span, table

CHANGES, ERROR = 1, 255  # exit codes: allocations would be created or destroyed; there is no plan
PREEMPTED_SHOWN_MAX = 10
_COUNTED = ("Place", "Stop", "Migrate", "DestructiveUpdate", "Canary")
HINT = """To submit the job with version verification run:

{command}

With -check-index the job is registered only if its job modify index is still the
one above. If somebody else changed the job since, the plan may no longer hold."""


@click.command(cls=GoFlags)
@click.argument("path", metavar="FILE")
@click.option("--diff/--no-diff", "diff", default=True, help="Show what changes in the job (on; -diff=false).")
@click.option("--policy-override", is_flag=True, help="Plan as if soft policies were overridden.")
@click.option("--json", "given_json", is_flag=True, help="The file is JSON (it always is).")
@no_color
@verbose
@api
def plan(client: Client, path: str, diff: bool, policy_override: bool, verbose: bool, **_flags: Any) -> None:
    """Show what registering the job in FILE (`-` for standard input) would do; nothing changes.

    Exit codes: 0 no allocation would be created or destroyed, 1 some would, 255 there is no plan.
    """
    with _errors_are_255():
        job = read_job(path)
        if not isinstance(job_id := job.get("ID"), str) or not job_id:
            fail("Error: the job has no ID")
        request = {"Job": job, "Diff": diff, "PolicyOverride": policy_override}
        answer = client.put(job_path(job_id, "plan"), request)
    if answer["Diff"]:
        click.echo(job_diff(answer["Diff"], verbose=verbose) + "\n")
    click.echo(paint("Scheduler dry-run:", "white", bold=True))
    click.echo("\n".join(_dry_run(answer, verbose)) + "\n")
    if answer["Warnings"]:
        click.echo(paint(f"Job Warnings:\n{answer['Warnings']}\n", "yellow"))
    index = answer["JobModifyIndex"]
    click.echo(paint(f"Job Modify Index: {index}", "white", bold=True))
    click.echo(HINT.format(command=f"yurt job run -check-index {index} {path}"))
    if _changes_allocations(answer):
        raise SystemExit(CHANGES)


@contextmanager
def _errors_are_255() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        fail(f"Error during plan: {error}", ERROR)
    except SystemExit:
        raise SystemExit(ERROR) from None


def _changes_allocations(answer: dict[str, Any]) -> bool:
    desired = (answer["Annotations"] or {}).get("DesiredTGUpdates") or {}
    return any(counts.get(name) for counts in desired.values() for name in _COUNTED)


def _dry_run(answer: dict[str, Any], verbose: bool) -> Iterator[str]:
    if answer["FailedTGAllocs"]:
        yield paint("- WARNING: Failed to place all allocations.", "yellow")
        yield from (f"  {line}" for line in failures(answer))
    else:
        yield paint("- All tasks successfully allocated.", "green")
    if launch := answer["NextPeriodicLaunch"]:
        wait = span(max(0.0, from_rfc3339(launch) / 1e9 - time.time()))
        yield paint(f"- If submitted now, next periodic launch would be at {launch} ({wait} from now).", "green")
    if preempted := (answer["Annotations"] or {}).get("PreemptedAllocs"):
        yield "\nPreemptions:\n"
        rows = [(short(one["ID"], verbose), one["JobID"], one["TaskGroup"]) for one in preempted]
        yield table(("Alloc ID", "Job ID", "Task Group"), rows[:PREEMPTED_SHOWN_MAX])
        if len(rows) > PREEMPTED_SHOWN_MAX:
            yield f"and {len(rows) - PREEMPTED_SHOWN_MAX} more"
