"""`yurt eval status` and the monitor that waits for an evaluation."""

from __future__ import annotations

import time
from typing import Any

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json, verbose
from yurt.server.cli.output import date, now_text, pairs, print_json, short, table
from yurt.server.cli.resolve import only_match

POLL_SECONDS = 0.2
PLACEMENT_FAILED = 2
ENDED = ("complete", "failed", "canceled")


@click.group(name="eval")
def evaluation() -> None:
    """Inspect evaluations."""


@evaluation.command(name="list")
@click.option("--job", "job_id", default="", help="Show only evaluations of this job.")
@click.option("--status", "wanted", default="", help="Show only evaluations with this status.")
@click.option("--filter", "expression", default="", help="Show only evaluations that match this expression.")
@click.option("--per-page", type=int, help="Maximum number of evaluations to show.")
@as_json
@verbose
@api
def list_(client: Client, as_json: bool, verbose: bool, **flags: Any) -> None:
    """List evaluations, newest first."""
    query = {"job": flags["job_id"], "status": flags["wanted"], "filter": flags["expression"], "reverse": "true"}
    if flags["per_page"]:
        query["per_page"] = str(flags["per_page"])
    found = client.get("/v1/evaluations", **query)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short(one["ID"], verbose), one["Priority"], one["TriggeredBy"], one["JobID"], one.get("Namespace", ""),
            one["Status"], "N/A" if one["Status"] == "blocked" else str(bool(one.get("FailedTGAllocs"))).lower(),
        )
        for one in found
    ]  # fmt: skip
    header = ("ID", "Priority", "Triggered By", "Job ID", "Namespace", "Status", "Placement Failures")
    click.echo(table(header, rows) if rows else "No evals found")


@evaluation.command(name="status")
@click.argument("eval_id")
@as_json
@verbose
@api
def status(client: Client, eval_id: str, as_json: bool, verbose: bool) -> None:
    """Show one evaluation."""
    eval_id = only_match(
        client, "/v1/evaluations", eval_id, "evaluation", lambda found: "\n".join(e["ID"] for e in found)
    )
    one = client.get(f"/v1/evaluation/{eval_id}", related="true")
    if as_json:
        print_json(one)
        return
    rows = [
        ("ID", short(one["ID"], verbose)),
        ("Create Time", date(one.get("CreateTime", 0))),
        ("Status", one["Status"]),
        ("Status Description", one.get("StatusDescription", "")),
        ("Type", one["Type"]),
        ("TriggeredBy", one["TriggeredBy"]),
        ("Job ID", one["JobID"]),
        ("Priority", one["Priority"]),
        ("Placement Failures", str(bool(one.get("FailedTGAllocs"))).lower()),
    ]
    click.echo(pairs(rows))
    for line in failures(one):
        click.echo(line)
    if related := one.get("RelatedEvals"):
        shown = [(short(e["ID"], verbose), e["Priority"], e["TriggeredBy"], e["Status"]) for e in related]
        click.echo("\nRelated Evaluations\n" + table(("ID", "Priority", "Triggered By", "Status"), shown))
    if placed := client.get(f"/v1/evaluation/{eval_id}/allocations"):
        kept = [(short(a["ID"], verbose), short(a["NodeID"], verbose), a["Name"], a["ClientStatus"]) for a in placed]
        click.echo("\nPlacements\n" + table(("ID", "Node ID", "Name", "Status"), kept))


def _ids(found: list[dict[str, Any]]) -> str:
    return "\n".join(one["ID"] for one in found)


def monitor(client: Client, eval_id: str, *, verbose: bool = False) -> int:
    """Follow one evaluation to its end; return the exit code: 0, 1 if it failed, 2 if something found no place."""
    shown = short(eval_id, verbose)
    click.echo(f'==> {now_text()}: Monitoring evaluation "{shown}"')
    status, delay = "", POLL_SECONDS
    told: dict[str, str] = {}
    while True:
        one = client.get(f"/v1/evaluation/{eval_id}")
        if not status:
            click.echo(f'    {now_text()}: Evaluation triggered by job "{one["JobID"]}"')
        if one["Status"] != status:
            change = f'"{status}" -> "{one["Status"]}"' if status else f'"{one["Status"]}"'
            click.echo(f"    {now_text()}: Evaluation status changed: {change}")
            status = one["Status"]
        _tell_allocations(client, eval_id, told, verbose)
        if status in ENDED:
            return _conclude(one, shown, verbose)
        time.sleep(delay)  # an evaluation and its allocations are followed together: no one index wakes for both
        delay = min(delay * 1.5, 2.0)


def _tell_allocations(client: Client, eval_id: str, told: dict[str, str], verbose: bool) -> None:
    """Say which allocations were made, and what became of those that were told of."""
    for one in client.get(f"/v1/evaluation/{eval_id}/allocations"):
        known, status = told.get(one["ID"]), one["ClientStatus"]
        name = f'Allocation "{short(one["ID"], verbose)}"'
        if known is None:
            node = short(one["NodeID"], verbose)
            click.echo(f'    {now_text()}: {name} created: node "{node}", group "{one["TaskGroup"]}"')
        elif known != status:
            click.echo(f'    {now_text()}: {name} status changed: "{known}" -> "{status}"')
        told[one["ID"]] = status


def _conclude(one: dict[str, Any], shown: str, verbose: bool) -> int:
    if not one.get("FailedTGAllocs"):
        click.echo(f'==> {now_text()}: Evaluation "{shown}" finished with status "{one["Status"]}"')
        return 0 if one["Status"] == "complete" else 1
    text = f'Evaluation "{shown}" finished with status "{one["Status"]}" but failed to place all allocations:'
    click.echo(f"==> {now_text()}: {text}")
    for line in failures(one):
        click.echo(f"    {now_text()}: {line}")
    if blocked := one.get("BlockedEval"):
        waiting = f'Evaluation "{short(blocked, verbose)}" waiting for additional capacity to place remainder'
        click.echo(f"    {now_text()}: {waiting}")
    return PLACEMENT_FAILED


def failures(one: dict[str, Any]) -> list[str]:
    """Return the lines that say which groups found no place, and why."""
    lines = []
    for group, metric in sorted((one.get("FailedTGAllocs") or {}).items()):
        count = metric["CoalescedFailures"] + 1
        lines.append(f'Task Group "{group}" (failed to place {count} allocation{"s" if count > 1 else ""}):')
        if not metric["NodesInPool"]:
            lines.append(f'  * No nodes were eligible for evaluation in node pool "{metric["NodePool"] or "default"}"')
        for text, number in sorted((metric["ConstraintFiltered"] or {}).items()):
            lines.append(f'  * Constraint "{text}": {number} nodes excluded by filter')
        for text, number in sorted((metric["DimensionExhausted"] or {}).items()):
            lines.append(f'  * Resources exhausted: dimension "{text}" exhausted on {number} nodes')
    return lines
