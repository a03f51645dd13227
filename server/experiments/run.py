"""One experiment: clients in threads, faults from the main thread, then the verdict and the report."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import yurt
from yurt.server.experiments.client import Client
from yurt.server.experiments.processes import ProcessHands
from yurt.server.experiments.records import EXPERIMENT, FAULTS, HISTORY, FaultLog, write_json
from yurt.server.experiments.scenario import Scenario, all_workloads
from yurt.server.experiments.target import HookFailed, TargetHands, servers_of
from yurt.server.experiments.workload import Workload
from yurt.testing import AgentProcess, ClusterError, Recorder

CALM_SECONDS, CALM_SHORT_SECONDS = 5.0, 1.5  # of the workload after the last fault
LEADER_SECONDS = 0.25  # between two looks at who leads
JOIN_SECONDS = 20.0


class LeftOut(Exception):
    """This experiment cannot be done here; the text says what is missing."""


@dataclass(frozen=True)
class Options:
    """The options of a run; zero or an empty text means the scenario's own."""

    scenario: Scenario
    out: Path
    workload: str = ""
    servers: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    seed: int = 1
    jobs: int = 5
    short: bool = False
    target: tuple[str, ...] = ()
    hooks: Path | None = None
    token: str = field(default="", repr=False)
    upgrade_to: str = ""
    engine: str = "core"

    @property
    def duration(self) -> float:
        """How long faults go on, in seconds."""
        return self.seconds or (self.scenario.short_seconds if self.short else self.scenario.seconds)

    def described(self, **more: Any) -> dict[str, Any]:
        """Return the contents of `experiment.json`: enough to repeat the run."""
        return {
            "scenario": self.scenario.name, "text": self.scenario.text,
            "workload": self.workload or self.scenario.workload, "servers": self.servers or self.scenario.servers,
            "nodes": self.scenario.nodes, "seconds": self.duration, "rate": self.rate or self.scenario.rate,
            "seed": self.seed, "jobs": self.jobs, "target": list(self.target), "version": yurt.__version__,
            "commit": commit(), "machine": machine(),
            "engine": self.engine, "began": datetime.now(UTC).isoformat(timespec="seconds"), **more,
        }  # fmt: skip


def commit() -> str:
    """The checkout's commit, with a + if it was changed; empty for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *words: str) -> str:
    command = [shutil.which("git") or "git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def machine() -> str:
    """The machine in a line."""
    return f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


class Run:
    """An experiment on real servers."""

    def __init__(self, options: Options, say: Callable[[str], None], program: type[AgentProcess]) -> None:
        self.options, self.say, self._program = options, say, program
        self._start = time.monotonic()
        self._stop = threading.Event()
        kind = all_workloads()[options.workload or options.scenario.workload]
        self.workload: Workload = kind(jobs=options.jobs, padding=options.scenario.padding)
        self.recorder = Recorder(options.out / HISTORY)
        self.log = FaultLog(options.out / FAULTS, self.clock)
        self.hands = self._hands()
        self.was_interrupted = False

    def clock(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start

    def _hands(self) -> ProcessHands | TargetHands:
        options, scenario = self.options, self.options.scenario
        hands: ProcessHands | TargetHands
        if options.target:
            hands = TargetHands(servers_of(options.target), options.hooks, self.log, token=options.token)
        else:
            servers = options.servers or scenario.servers
            hands = ProcessHands(
                scenario, servers, options.out / "cluster", self.log, upgrade_to=options.upgrade_to,
                kind=self._program, engine=options.engine,
            )  # fmt: skip
        if missing := scenario.needs - hands.can:
            raise LeftOut(f"left out: nothing here can do {', '.join(sorted(missing))}")
        return hands

    def run(self) -> None:
        """Do it; what the cluster does is in the files. Raises `LeftOut` if it never began."""
        with interruptible():
            try:
                self._broken()
            except KeyboardInterrupt:
                self.was_interrupted = True
                self.log.remark("interrupted")
            finally:
                with uninterruptible():
                    self._stop.set()
                    self.hands.close()
                    self.recorder.close()
                    self.log.close()

    def _broken(self) -> None:
        try:
            self.hands.open()
            self.workload.prepare(self._client(0))
        except (ClusterError, HookFailed, RuntimeError) as error:
            raise LeftOut(f"it did not begin: {error}") from error
        threads = self._threads()
        for thread in threads:
            thread.start()
        self._faults()
        self._stop.wait(CALM_SHORT_SECONDS if self.options.short else CALM_SECONDS)
        self._stop.set()
        for thread in threads:
            thread.join(JOIN_SECONDS)
        self.workload.finish(self._client(0))

    # --- faults

    def _faults(self) -> None:
        """Rounds until the time is over, at least one; then all faults end."""
        options, chance = self.options, Random(f"{self.options.seed}/faults")
        end = self.clock() + options.duration
        try:
            time.sleep(1.0)  # what it is like before
            while True:
                for seconds in options.scenario.steps(self.hands, chance):
                    time.sleep(seconds)
                for name in self.hands.down():
                    self.log.ended(name)
                    self.hands.start(name)
                if self.clock() >= end:
                    break
        except (ClusterError, HookFailed) as error:
            self.log.remark(f"no more faults: {error}")
            self.say(f"no more faults: {error}")
        try:
            self.hands.heal()
        except ClusterError as error:
            self.log.remark(f"the cluster was not healed: {error}")

    # --- clients

    def _client(self, number: int) -> Client:
        chance = Random(f"{self.options.seed}/client {number}")
        return Client(self.hands.servers, self.recorder, self.clock, chance, number, token=self.options.token)

    def _threads(self) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self._work, args=(self._client(number),), daemon=True, name=f"client {number}")
            for number in range(self.workload.clients)
        ]
        return [*threads, threading.Thread(target=self._watch_leader, daemon=True, name="leader")]

    def _work(self, client: Client) -> None:
        """One client until the end."""
        rate = self.options.rate or self.options.scenario.rate
        is_paced = client.number < self.workload.paced
        between = self.workload.paced / rate if is_paced else 0.0
        due = time.monotonic() + between * client.chance.random()
        while not self._stop.is_set():
            before = self.recorder.count
            self.workload.step(client)
            due = max(due + between, time.monotonic() - between)
            if self.recorder.count == before and not is_paced:
                due = time.monotonic() + 0.05
            self._stop.wait(max(0.0, due - time.monotonic()))
        client.close()

    def _watch_leader(self) -> None:
        while not self._stop.wait(LEADER_SECONDS):
            self.log.leads(self.hands.leader_now())


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGINT raise KeyboardInterrupt, also where a shell lets SIGINT be ignored."""
    kept = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def uninterruptible() -> Iterator[None]:
    """Nothing keeps us from cleaning up."""
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def empty_directory(directory: Path) -> None:
    """Make it; raises `LeftOut` if there is something in it."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise LeftOut(f"{directory} is not empty: an experiment needs a directory of its own")


def perform(options: Options, say: Callable[[str], None], program: type[AgentProcess] = AgentProcess) -> bool:
    """Run an experiment into its directory; whether it was interrupted. Raises `LeftOut`. `program` is the server."""
    empty_directory(options.out)
    try:
        run = Run(options, say, program)
    except (LeftOut, ValueError, OSError):
        shutil.rmtree(options.out)  # it was empty
        raise
    write_json(options.out / EXPERIMENT, options.described(kind="target" if options.target else "processes"))
    run.run()
    return run.was_interrupted
