"""Experiments on real servers: every scenario in its short form, interruption, targets, the comparison."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process.test_upgrade import next_version
from yurt.server.experiments.records import EXPERIMENT, HISTORY, REPORT, VERDICT
from yurt.server.experiments.report import report
from yurt.server.experiments.run import Options, perform
from yurt.server.experiments.scenario import DICE, all_scenarios
from yurt.server.experiments.verdict import told
from yurt.testing import Cluster

pytestmark = pytest.mark.slow
REAL = [one for one in all_scenarios().values() if DICE not in one.needs]
STORM_SECONDS = float(os.environ.get("YURT_STORM_SECONDS", "40"))
YURT = (sys.executable, "-m", "yurt.server.cli", "experiment")


@pytest.mark.parametrize("scenario", REAL, ids=lambda one: one.name)
def test_a_scenario(tmp_path: Path, scenario: object) -> None:
    (chosen,) = (one for one in REAL if one is scenario)
    upgrade_to = next_version(tmp_path) if chosen.name == "rolling-upgrade" else ""
    said: list[str] = []
    options = Options(chosen, tmp_path / "out", seed=5, short=True, upgrade_to=upgrade_to)
    assert perform(options, said.append) is False
    verdict = report(options.out)
    assert verdict["verdict"] == "clean" and not said, (verdict, said)
    assert (len(verdict["faults"]) > 0) == (chosen.name != "calm")
    assert not of_directory(tmp_path), "a process is left"
    if chosen.name in ("clock-jump", "slow-disk", "full-disk"):
        assert "YURT_FAULTS is set" in (options.out / "cluster/server1/agent.log").read_text()
    if chosen.name == "full-disk":
        assert verdict["counts"]["cas"].get("unknown", 0) > 0, "nothing was refused for want of room"


@pytest.mark.timeout(300)
def test_pysyncobj_loses_acknowledged_writes_where_the_core_keeps_them(tmp_path: Path) -> None:
    """The same scenario is clean on the core (`test_a_scenario`): here both sides of the partition acknowledge."""
    options = Options(all_scenarios()["growth-partition"], tmp_path / "out", seed=3, engine="pysyncobj")
    assert perform(options, print) is False
    verdict = report(options.out)
    assert verdict["verdict"] == "violated", verdict
    assert {"lost-write", "doubled-write"} & set(verdict["violations_by_kind"]), verdict["violations_by_kind"]
    assert not of_directory(tmp_path), "a process is left"


@pytest.mark.timeout(STORM_SECONDS + 90)
def test_a_storm(tmp_path: Path) -> None:
    """YURT_STORM_SECONDS says how long (40 by default), YURT_STORM_SEED which."""
    options = Options(all_scenarios()["storm"], tmp_path, seed=int(os.environ.get("YURT_STORM_SEED", "1")),
                      seconds=STORM_SECONDS)  # fmt: skip
    perform(options, print)
    verdict = report(tmp_path)
    assert verdict["verdict"] == "clean", verdict
    print(told(verdict))


def mounts_of(directory: Path) -> list[str]:
    """The machine's mounts, but for those of tests that run beside this one."""
    runs = str(directory.parents[2])
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if str(directory) in line or runs not in line]


def of_directory(directory: Path) -> list[int]:
    """Processes that work below a directory, by their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"{directory}/".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(seconds: float, what: object, path: Path) -> None:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size > 2000):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_experiment_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    mounts = mounts_of(tmp_path)
    command = [*YURT, "run", "node-loss" if number == signal.SIGINT else "pause", "-out", str(out), "-duration", "60"]
    tool = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(60, "operations", out / HISTORY)
        assert len(of_directory(out)) >= 3
        time.sleep(2.0)  # within a fault, or not
        tool.send_signal(number)
        told, errors = tool.communicate(timeout=40)
    finally:
        tool.kill()
    assert tool.returncode == 130 and "Traceback" not in errors, errors
    assert "interrupted" in told
    assert not of_directory(out)
    assert mounts_of(tmp_path) == mounts
    assert json.loads((out / VERDICT).read_text())["operations"] and (out / REPORT).exists()


def test_a_target_is_broken_by_its_operators_hooks(tmp_path: Path) -> None:
    with Cluster(3, faults=False) as cluster:
        for server in cluster.servers:
            assert server.process is not None
            (tmp_path / server.name).write_text(str(server.process.pid))
        script = tmp_path / "hook"
        script.write_text(f'#!/bin/sh\nkill -"$1" "$(cat {tmp_path}/"$2")"\n')
        script.chmod(0o755)
        hooks = tmp_path / "hooks.json"
        hooks.write_text(
            json.dumps({"pause": [str(script), "STOP", "{server}"], "resume": [str(script), "CONT", "{server}"]})
        )
        targets = [word for one in cluster.servers for word in ("-target", f"{one.name}={one.address}")]
        out = tmp_path / "out"
        command = [*YURT, "run", "pause", "leader-kill", "-out", str(out), "-short", "-hooks", str(hooks), *targets]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "leader-kill: left out: nothing here can do kill" in done.stderr
        verdict = json.loads((out / "pause" / VERDICT).read_text())
        assert verdict["verdict"] == "clean" and verdict["faults"] and verdict["leaders"]
        assert json.loads((out / "pause" / EXPERIMENT).read_text())["kind"] == "target"
        assert all(one.is_running for one in cluster.servers)


@pytest.mark.timeout(300)
def test_a_target_that_dies_is_a_result(tmp_path: Path) -> None:
    with Cluster(1) as cluster:
        (server,) = cluster.servers
        out = tmp_path / "out"
        command = [*YURT, "run", "calm", "-out", str(out), "-duration", "14", "-target", server.address]
        tool = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(30, "operations", out / HISTORY)
            server.kill()
            told, errors = tool.communicate(timeout=200)
        finally:
            tool.kill()
    assert tool.returncode == 1 and "Traceback" not in errors, errors
    assert "no-recovery" in told and "no write was answered" in told


def test_the_comparison_runs_on_what_takes_the_references_command_line(tmp_path: Path) -> None:
    """Yurt's own command stands in for the reference's binary."""
    reference = Path(sys.executable).with_name("yurt")
    command = [
        sys.executable,
        "-m",
        "yurt.server.experiments.compare",
        "leader-kill",
        "--short",
        "--out",
        str(tmp_path),
    ]
    environment = {**os.environ, "YURT_REFERENCE": str(reference)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["yurt", "reference"]
    assert done.stdout.count(" clean ") == 2, done.stdout
    refused = subprocess.run(
        command, capture_output=True, text=True, timeout=20, env={**os.environ, "YURT_REFERENCE": ""}
    )
    assert refused.returncode == 1 and "YURT_REFERENCE" in refused.stderr
