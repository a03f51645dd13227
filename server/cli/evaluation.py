"""`yurt eval status` and the monitor that waits for an evaluation."""

from __future__ import annotations

import time
from typing import Any

import click

from yurt.server.cli.client import Client
from yurt.server.cli.options import api, as_json, verbose
from yurt.server.cli.output import date, now_text, pairs, print_json, short

POLL_SECONDS = 0.2
PLACEMENT_FAILED = 2
ENDED = ("complete", "failed", "canceled")


@click.group(name="eval")
def evaluation() -> None:
    """Look at evaluations."""


@evaluation.command(name="status")
@click.argument("eval_id")
@as_json
@verbose
@api
def status(client: Client, eval_id: str, as_json: bool, verbose: bool) -> None:
    """Show one evaluation."""
    one = client.get(f"/v1/evaluation/{eval_id}")
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


def monitor(client: Client, eval_id: str, *, verbose: bool = False) -> int:
    """Follow one evaluation to its end; return the exit code: 0, 1 if it failed, 2 if something found no place."""
    shown = short(eval_id, verbose)
    click.echo(f'==> {now_text()}: Monitoring evaluation "{shown}"')
    status, delay = "", POLL_SECONDS
    while True:
        one = client.get(f"/v1/evaluation/{eval_id}")
        if not status:
            click.echo(f'    {now_text()}: Evaluation triggered by job "{one["JobID"]}"')
        if one["Status"] != status:
            change = f'"{status}" -> "{one["Status"]}"' if status else f'"{one["Status"]}"'
            click.echo(f"    {now_text()}: Evaluation status changed: {change}")
            status = one["Status"]
        if status in ENDED:
            return _conclude(one, shown, verbose)
        time.sleep(delay)
        delay = min(delay * 1.5, 2.0)


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
    """What found no place and why, a line each."""
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
