"""Run the scenarios of `yurt experiment` on simulated servers, with the same history and files.

`yurt experiment run SCENARIO -simulated` runs this module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

from yurt.server.experiments.records import FAULTS, HISTORY, FaultLog
from yurt.server.experiments.scenario import DICE, DISK, KILL, LINKS, PAUSE, STOP, Hands, Steps
from yurt.server.testing.simulation.scenario import Life
from yurt.server.testing.virtual.host import DISK_SECONDS
from yurt.testing import Recorder

FIRST_SECONDS = 1.0  # before the first fault

StepsOf = Callable[[Hands, Random], Steps]


class SimulatedHands:
    """Does to simulated machines what a scenario says. A kill is a loss of power: what was not synced may be gone."""

    can = frozenset({KILL, STOP, PAUSE, LINKS, DISK, DICE})
    nodes: tuple[str, ...] = ()

    def __init__(self, life: Life, log: FaultLog) -> None:
        self._cluster, self._log, self._roll = life.cluster, log, life.fault
        self.names = tuple(life.cluster.servers)

    def fault(self, name: str, *servers: str) -> AbstractContextManager[None]:
        return self._log.fault(name, *servers)

    def leader(self) -> str:
        """Return the leader's name; nobody can be waited for, so without a leader any server's."""
        leader = self._cluster.leader
        return leader.name if leader is not None else self._cluster.world.chance.choice(self.names)

    def down(self) -> list[str]:
        return [name for name, server in self._cluster.servers.items() if server.engine is None]

    def kill(self, name: str) -> None:
        server = self._cluster.servers[name]
        if server.engine is not None:
            server.crash()

    def stop(self, name: str) -> None:
        server = self._cluster.servers[name]
        if server.engine is not None:
            server.end()

    def start(self, name: str) -> None:
        server = self._cluster.servers[name]
        if server.engine is None:
            server.start()

    def pause(self, name: str) -> None:
        self._cluster.servers[name].pause()

    def resume(self, name: str) -> None:
        self._cluster.servers[name].resume()

    def cut(self, pairs: set[tuple[str, str]], *, closing: bool = False) -> None:
        self._cluster.network.cut = set(pairs)
        if closing:
            for name in {name for pair in pairs for name in pair}:
                self._cluster.network.disconnected(self._cluster.servers[name])
        elif not pairs:
            for server in self._cluster.running:
                self._cluster.network.connected(server)

    def slow_links(self, name: str, seconds: float) -> None:
        self._cluster.network.slow[name] = seconds

    def slow_disk(self, name: str, seconds: float) -> None:
        self._cluster.servers[name].disk_seconds = DISK_SECONDS + seconds

    def fill_disk(self, name: str, *, full: bool) -> None:
        server = self._cluster.servers[name]
        if full and (server.engine is None or not server.engine.term):
            return  # the first term needs room
        server.disk.capacity = server.disk.used() if full else None

    def jump_clock(self, name: str, seconds: float) -> None:
        raise NotImplementedError("engines never look at the wall clock")

    def upgrade(self, name: str) -> None:
        raise NotImplementedError("there is one version")

    def dice(self) -> None:
        """One of the simulator's own faults, drawn from those of this life."""
        with self._log.fault(f"dice: {self._roll()}", *self.names):
            pass  # it ends by itself

    def close(self) -> None:
        """Nothing is done any more."""
        for server in self._cluster.servers.values():
            server.resume()
        self._cluster.network.slow.clear()


class Experiment:
    """A life whose history is written down: under a scenario's faults, or under those that its seed draws."""

    def __init__(self, life: Life, log: FaultLog, recorder: Recorder) -> None:
        self._life, self._log, self._recorder = life, log, recorder
        self._hands = SimulatedHands(life, log)
        self.broken: list[str] = []  # what the simulator saw from within

    def run(self, steps: StepsOf | None = None) -> None:
        """Live; what was written down is there also if the life ended early."""
        life = self._life
        life.look = lambda: self._log.leads(life.cluster.leader.name if life.cluster.leader else "")
        script = self._script(steps) if steps is not None else None
        if script is not None:
            life.script = script
        try:
            life.live()
        except AssertionError as error:
            self.broken.append(str(error).split("\n")[0])
        finally:
            if script is not None:
                script.close()
            self._log.close()
        for event in life.cluster.clients.history():
            self._recorder.write(event)
        self._recorder.close()

    def _script(self, steps: StepsOf) -> Generator[float, None, None]:
        """Round after round, until the time is over at the end of one."""
        chance, life = Random(f"{self._life.seed}/faults"), self._life
        yield FIRST_SECONDS
        while life.cluster.world.time < life.seconds:
            yield from steps(self._hands, chance)
        self._hands.close()


def perform(
    steps: StepsOf, directory: Path, *, seed: int, servers: int, seconds: float, rate: float, swarm: bool
) -> list[str]:
    """A scenario from a seed, into its directory's history and fault log; what the simulator found broken.

    `swarm`: operators do what the seed draws, too. `rate` 0: the clients' pace is drawn.
    """
    settings = {"between_writes": 2 / rate, "between_reads": 2 / rate} if rate else None
    life = Life(seed, size=servers, work=None if swarm else (), settings=settings)
    life.seconds = seconds
    log = FaultLog(directory / FAULTS, lambda: life.cluster.world.time)
    experiment = Experiment(life, log, Recorder(directory / HISTORY))
    logging.disable(logging.WARNING)
    try:
        experiment.run(steps)
    finally:
        logging.disable(logging.NOTSET)
    return experiment.broken
