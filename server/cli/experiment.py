"""`yurt experiment`: break a cluster on purpose, and see what its clients saw (docs/experiments.md)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from yurt.server.cli.options import as_json
from yurt.server.cli.output import fail, print_json, table
from yurt.server.experiments.records import EXPERIMENT, HISTORY, REPORT
from yurt.server.experiments.report import report as make_report
from yurt.server.experiments.run import LeftOut, Options, perform
from yurt.server.experiments.scenario import Scenario, all_scenarios, all_workloads
from yurt.server.experiments.simulated import simulate
from yurt.server.experiments.verdict import CLEAN, UNDECIDED, told

OUT = Path("experiments")
EXIT_VIOLATED, EXIT_UNDECIDED, EXIT_INTERRUPTED = 1, 2, 130


@click.group()
def experiment() -> None:
    """Break a cluster on purpose: run fault scenarios under a workload; write history, verdict and report."""


@experiment.command(name="list")
@as_json
def list_experiments(as_json: bool) -> None:
    """List the scenarios and the workloads."""
    scenarios, workloads = all_scenarios().values(), all_workloads().values()
    if as_json:
        print_json(
            {
                "scenarios": [
                    {"name": one.name, "text": one.text, "needs": sorted(one.needs), "workload": one.workload,
                     "servers": one.servers, "nodes": one.nodes, "seconds": one.seconds}
                    for one in scenarios
                ],
                "workloads": [{"name": one.name, "text": one.text} for one in workloads],
            }
        )  # fmt: skip
        return
    rows = [(one.name, one.workload, ", ".join(sorted(one.needs)) or "-", one.text) for one in scenarios]
    click.echo(table(("Scenario", "Workload", "Needs", "What happens"), rows))
    click.echo()
    click.echo(table(("Workload", "What clients do"), [(one.name, one.text) for one in workloads]))


@experiment.command(name="run")
@click.argument("names", nargs=-1, required=True, metavar="SCENARIO...")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Directory of the results [experiments/…]."
)
@click.option("--workload", default="", help="Workload [the scenario's own].")
@click.option("--servers", type=click.IntRange(1, 7), help="Number of servers [the scenario's own].")
@click.option(
    "--duration", type=click.FloatRange(0.0, 86_400.0), default=0.0, help="Seconds during which faults begin."
)
@click.option("--rate", type=click.FloatRange(0.0, 5_000.0), default=0.0, help="Total client steps per second.")
@click.option("--jobs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Number of jobs to use.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random number generator.")
@click.option("--short", is_flag=True, help="Run only one or two rounds of faults, as a smoke test.")
@click.option(
    "--target", multiple=True, metavar="[NAME=]URL", help="Server of a running cluster; repeat for each server."
)
@click.option(
    "--hooks", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Commands that break the target."
)
@click.option(
    "--token", default="", envvar=["YURT_TOKEN", "NOMAD_TOKEN"], help="Secret of an ACL token for the target."
)
@click.option("--upgrade-to", default="", metavar="DIR", help="Directory of the next version's package, for upgrades.")
@click.option(
    "--engine",
    type=click.Choice(["core", "pysyncobj"]),
    default="core",
    show_default=True,
    help="Engine that replicates the state; pysyncobj as released is the control.",
)
@click.option("--simulated", is_flag=True, help="Run on virtual time, determined by the seed alone.")
@as_json
def run(names: tuple[str, ...], out: Path | None, simulated: bool, as_json: bool, **given: Any) -> None:
    """Run scenarios by name, or `all`, one after another, each in its own result directory.

    Exit code 0: every verdict is clean; 1: something promised was broken, or nothing could be run; 2: undecided;
    130: interrupted. Scenarios that cannot run here are skipped and named.
    """
    chosen = _chosen(names)
    if given["workload"] and given["workload"] not in all_workloads():
        fail(f"there is no workload {given['workload']}; there are {', '.join(all_workloads())}")
    base = out or OUT / time.strftime("%Y%m%d-%H%M%S")
    verdicts, is_interrupted = {}, False
    for scenario in chosen:
        directory = base / scenario.name if len(chosen) > 1 or out is None else base
        options = _options(scenario, directory, given)
        try:
            is_interrupted = (simulate if simulated else perform)(options, lambda text: click.echo(text, err=True))
        except (LeftOut, ValueError, OSError) as error:
            click.echo(f"{scenario.name}: {error}", err=True)
            continue
        verdicts[scenario.name] = verdict = make_report(directory)
        if not as_json:
            click.echo(f"{scenario.name}: {told(verdict)}\n  {directory / REPORT}")
        if is_interrupted:
            break
    if as_json:
        print_json(verdicts)
    raise SystemExit(EXIT_INTERRUPTED if is_interrupted else _exit_code(verdicts))


def _options(scenario: Scenario, directory: Path, given: dict[str, Any]) -> Options:
    return Options(
        scenario, directory, workload=given["workload"], servers=given["servers"] or 0, seconds=given["duration"],
        rate=given["rate"], seed=given["seed"], jobs=given["jobs"], short=given["short"], target=given["target"],
        hooks=given["hooks"], token=given["token"], upgrade_to=given["upgrade_to"],
        engine=given["engine"],
    )  # fmt: skip


def _chosen(names: tuple[str, ...]) -> list[Scenario]:
    known = all_scenarios()
    if names == ("all",):
        return list(known.values())
    if unknown := [name for name in names if name not in known]:
        fail(f"there is no scenario {unknown[0]}; there are {', '.join(known)}")
    return [known[name] for name in names]


def _exit_code(verdicts: dict[str, Any]) -> int:
    words = {one["verdict"] for one in verdicts.values()}
    if words == {CLEAN}:
        return 0
    return EXIT_UNDECIDED if words == {CLEAN, UNDECIDED} or words == {UNDECIDED} else EXIT_VIOLATED


@experiment.command(name="report")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@as_json
def report_again(directory: Path, as_json: bool) -> None:
    """Judge an experiment's files again and rewrite its verdict and report."""
    for name in (EXPERIMENT, HISTORY):
        if not (directory / name).exists():
            fail(f"{directory} holds no experiment: there is no {name}")
    try:
        verdict = make_report(directory)
    except (ValueError, KeyError, json.JSONDecodeError) as error:
        fail(f"the files in {directory} cannot be read: {error}")
    if as_json:
        print_json(verdict)
    else:
        click.echo(f"{told(verdict)}\n  {directory / REPORT}")
    raise SystemExit(_exit_code({"": verdict}))
