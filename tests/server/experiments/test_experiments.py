"""Experiments without real servers: what is listed, judged, measured, drawn, left out; the simulated ones."""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.server.testing.test_checker import BAD, GOOD, long_history
from yurt.server.cli.main import cli
from yurt.server.experiments.client import Answer
from yurt.server.experiments.measures import POINTS_MAX, Measures
from yurt.server.experiments.records import EXPERIMENT, FAULTS, HISTORY, REPORT, VERDICT, FaultLog, read_faults
from yurt.server.experiments.report import report
from yurt.server.experiments.run import Options
from yurt.server.experiments.scenario import all_scenarios, all_workloads, apart
from yurt.server.experiments.simulated import simulate, simulator
from yurt.server.experiments.target import HookFailed, TargetHands, servers_of
from yurt.testing import Event, Recorder, Window

SIMULATED = [one for one in all_scenarios().values() if not one.needs - simulator().SimulatedHands.can]


def written(directory: Path, events: Any, faults: tuple[Window, ...] = (), **fields: Any) -> Path:
    """An experiment's directory as a run leaves it."""
    directory.mkdir(exist_ok=True)
    scenario = all_scenarios()["leader-kill"]
    described = Options(scenario, directory).described(kind="processes", **fields)
    (directory / EXPERIMENT).write_text(json.dumps(described))
    recorder = Recorder(directory / HISTORY)
    for event in events:
        recorder.write(event)
    recorder.close()
    lines = [{"start": one.start, "end": one.end, "fault": one.fault, "servers": list(one.servers)} for one in faults]
    (directory / FAULTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def yurt(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["experiment", *arguments])


# --- scenarios


def test_each_scenario_is_a_file_of_its_name() -> None:
    folder = Path(__file__).parents[3] / "server/experiments/scenarios"
    files = {file.stem.replace("_", "-") for file in folder.glob("*.py")} - {"--init--"}
    assert files == set(all_scenarios())
    assert all(one.workload in all_workloads() for one in all_scenarios().values())


def test_list() -> None:
    listed = yurt("list")
    assert listed.exit_code == 0 and "leader-kill" in listed.output and "registers" in listed.output
    found = json.loads(yurt("list", "--json").output)
    assert {one["name"] for one in found["scenarios"]} == set(all_scenarios())
    assert {one["name"] for one in found["workloads"]} == {"registers", "jobs", "dispatch", "watches", "deployments"}


def test_who_is_apart() -> None:
    assert apart(("a", "b", "c"), "a") == {("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")}


@pytest.mark.parametrize("scenario", SIMULATED, ids=lambda one: one.name)
def test_a_scenario_on_virtual_time(tmp_path: Path, scenario: Any) -> None:
    options = Options(scenario, tmp_path / "out", seed=3, short=True)
    assert simulate(options, print) is False
    verdict = report(options.out)
    assert verdict["verdict"] == "clean", verdict
    assert verdict["counts"]["write"]["ok"] and verdict["leaders"]
    assert bool(verdict["faults"]) == (scenario.name != "calm")


def test_a_seed_gives_the_same_history(tmp_path: Path) -> None:
    for name in ("one", "two"):
        simulate(Options(all_scenarios()["storm"], tmp_path / name, seed=11, short=True), print)
    assert (tmp_path / "one" / HISTORY).read_bytes() == (tmp_path / "two" / HISTORY).read_bytes()
    assert (tmp_path / "one" / FAULTS).read_bytes() == (tmp_path / "two" / FAULTS).read_bytes()


# --- verdicts and reports


@pytest.mark.parametrize("name", BAD)
def test_a_doctored_history_is_reported(tmp_path: Path, name: str) -> None:
    written(tmp_path, BAD[name])
    told = yurt("report", str(tmp_path))
    kind = name.split()[0].rstrip(":")
    assert told.exit_code == 1 and kind in told.output
    assert kind in json.loads((tmp_path / VERDICT).read_text())["violations_by_kind"]
    page = (tmp_path / REPORT).read_text()
    assert kind in page
    assert ("Timeline of web" in page) == (find_spec("matplotlib") is not None), "plots need the extra"


def test_a_good_history_is_reported(tmp_path: Path) -> None:
    written(tmp_path, GOOD["one after the other"])
    told = yurt("report", str(tmp_path), "--json")
    assert told.exit_code == 0 and json.loads(told.output)["verdict"] == "clean"


def test_nothing_written_is_not_clean(tmp_path: Path) -> None:
    written(tmp_path, [Event("web", "read", 0, 1), Event("web", "cas", 0, 1, "unknown", 1)])
    assert yurt("report", str(tmp_path)).exit_code == 1


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    assert "no experiment.json" in yurt("report", str(tmp_path)).stderr
    written(tmp_path, [])
    (tmp_path / HISTORY).write_text("{}\n")
    told = yurt("report", str(tmp_path))
    assert told.exit_code == 1 and "no operation of a history" in told.stderr and "Traceback" not in told.stderr


def test_a_report_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report(written(tmp_path, GOOD["one after the other"]))
    page = (tmp_path / REPORT).read_text()
    assert "pip install" in page and "<img" not in page


def test_a_report_needs_nothing_else_and_escapes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report(written(tmp_path, [Event("<script>", "read", 0, 1, value="<b>")]))
    page = (tmp_path / REPORT).read_text()
    assert "<script>" not in page and "http://" not in page and "https://" not in page
    assert page.count("<img") == 6


def steady(seconds: float, but: tuple[float, float] = (0, 0)) -> list[Event]:
    """A write each 50 ms; those that begin in a span are without an answer."""
    events = []
    for number in range(int(seconds * 20)):
        at = number / 20
        lost = but[0] <= at < but[1]
        events.append(Event("web", "write", at, at + 0.02, "unknown" if lost else "ok", number))
    return events


def test_gaps_and_recoveries_are_measured(tmp_path: Path) -> None:
    written(tmp_path, steady(20, (5, 9)), (Window(5, 8, "kill", ("s1",)),))
    verdict = report(tmp_path)
    assert verdict["unavailable"] == [[5.0, 9.0]]
    assert verdict["faults"][0]["recovered_after"] == pytest.approx(1.02, abs=0.06)
    assert verdict["verdict"] == "clean"


def test_a_cluster_that_does_not_recover_breaks_a_promise(tmp_path: Path) -> None:
    verdict = report(written(tmp_path, steady(40, (5, 20)), (Window(5, 8, "kill", ("s1",)),)))
    assert verdict["violations_by_kind"] == {"no-recovery": 1}
    (tmp_path / "dead").mkdir()
    verdict = report(written(tmp_path / "dead", steady(40, (20, 40))))
    assert verdict["violations_by_kind"] == {"no-recovery": 1}


def test_a_server_that_ended_by_itself_breaks_a_promise(tmp_path: Path) -> None:
    written(tmp_path, steady(3))
    log = FaultLog(tmp_path / FAULTS, lambda: 1.0)
    log.ended("server2")
    log.leads("server1")
    with pytest.raises(RuntimeError), log.fault("kill", "server1"):
        raise RuntimeError
    log.close()
    with (tmp_path / FAULTS).open("a") as file:
        file.write('{"start": 1')  # killed while it wrote
    faults = read_faults(tmp_path / FAULTS)
    assert [one.fault for one in faults.windows] == ["kill"] and faults.leaders == [(1.0, "server1")]
    assert report(tmp_path)["violations_by_kind"] == {"server-ended": 1}


def test_points_are_sampled() -> None:
    measures = Measures()
    for event in long_history(POINTS_MAX * 3):
        measures.feed(event)
    sample = measures.samples["ok"]
    assert len(sample.points) == POINTS_MAX and sample.seen > 2 * POINTS_MAX
    assert measures.quantile("read", 0.5) == pytest.approx(0.004, rel=0.2)


@pytest.mark.slow
def test_a_hundred_thousand_operations_are_reported_in_seconds(tmp_path: Path) -> None:
    written(tmp_path, long_history(100_000))
    started = time.monotonic()
    verdict = report(tmp_path)
    assert verdict["operations"] == 100_000 and verdict["verdict"] == "clean"
    print(f"{time.monotonic() - started:.1f} s")


# --- what is left out


def test_a_run_needs_a_directory_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    told = yurt("run", "calm", "--out", str(tmp_path))
    assert told.exit_code == 1 and "not empty" in told.stderr


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert "there is no scenario" in yurt("run", "nonsense").stderr
    assert "there is no workload" in yurt("run", "calm", "--workload", "nonsense").stderr
    assert "nothing here can do upgrade" in yurt("run", "rolling-upgrade", "--out", str(tmp_path / "a")).stderr
    told = yurt("run", "one-way", "--out", str(tmp_path / "b"), "--target", "http://127.0.0.1:1")
    assert told.exit_code == 1 and "nothing here can do links" in told.stderr
    told = yurt("run", "clock-jump", "--out", str(tmp_path / "c"), "--simulated")
    assert "the simulator cannot do clock" in told.stderr


def test_targets(tmp_path: Path) -> None:
    named, plain = servers_of(["a=http://10.0.0.1:4646/", "https://b:4646"])
    assert (named.name, named.address, plain.name) == ("a", "http://10.0.0.1:4646", "b:4646")
    with pytest.raises(ValueError, match="no address"):
        servers_of(["ftp://x"])
    hooks = tmp_path / "hooks.json"
    hooks.write_text(json.dumps({"kill": "rm -rf /"}))
    log = FaultLog(tmp_path / FAULTS, lambda: 0.0)
    with pytest.raises(ValueError, match="no list of words"):
        TargetHands([named], hooks, log)
    trace = tmp_path / "trace"
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\necho "$@" >> {trace}\ntest "$1" != resume\n')
    script.chmod(0o755)
    words = {name: [str(script), name, "{server}"] for name in ("kill", "start", "pause", "resume")}
    hooks.write_text(json.dumps(words))
    hands = TargetHands([named, plain], hooks, log)
    assert hands.can == {"kill", "pause"}
    hands.kill("a")
    hands.pause("b:4646")
    with pytest.raises(HookFailed, match="resume of b:4646"):
        hands.resume("b:4646")
    assert hands.down() == ["a", "b:4646"]
    hands.close()
    assert trace.read_text().splitlines()[-2:] == ["start a", "resume b:4646"]
    assert "ended with 1" in read_faults(tmp_path / FAULTS).remarks[0][1]


def test_answers_of_writes() -> None:
    def result(status: int, body: Any = None, was_sent: bool = True) -> str:
        return Answer("s", 0, 1, status, body, was_sent=was_sent).result

    assert result(200) == "ok"
    assert result(500, "Enforcing job modify index 1: job exists with conflicting job modify index: 9") == "conflict"
    assert (result(400), result(429), result(0, was_sent=False)) == ("fail", "fail", "fail")
    assert (result(500, "No cluster leader"), result(0), result(502)) == ("unknown", "unknown", "unknown")


def test_the_simulator_is_in_the_package() -> None:
    assert simulator().__name__.startswith("yurt.")
