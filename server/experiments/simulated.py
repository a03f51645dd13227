"""Experiments on virtual time: the package's simulator (`server/testing/simulation`) carries out the scenario."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from yurt.server.experiments.records import EXPERIMENT, write_json
from yurt.server.experiments.run import LeftOut, Options, empty_directory
from yurt.server.experiments.scenario import DICE

SIMULATOR = "yurt.server.testing.simulation.experiment"


def simulator() -> Any:
    """Return the module that runs simulated experiments; imported when asked for, as it brings the whole server."""
    return importlib.import_module(SIMULATOR)


def simulate(options: Options, _say: Callable[[str], None]) -> bool:
    """Run an experiment on virtual time into its directory; whether it was interrupted. Raises `LeftOut`."""
    found, scenario = simulator(), options.scenario
    if missing := scenario.needs - found.SimulatedHands.can:
        raise LeftOut(f"left out: the simulator cannot do {', '.join(sorted(missing))}")
    if options.engine != "core":
        raise LeftOut(f"the engine {options.engine} has no virtual time: leave -simulated out")
    if options.workload or options.target:
        raise LeftOut("-simulated has a workload of its own, and no target")
    empty_directory(options.out)
    seconds, servers = options.duration, options.servers or scenario.servers
    described = options.described(kind="simulated", workload="one register", nodes=0)
    write_json(options.out / EXPERIMENT, described)
    try:
        broken = found.perform(
            scenario.steps, options.out, seed=options.seed, servers=servers, seconds=seconds, rate=options.rate,
            swarm=DICE in scenario.needs,
        )  # fmt: skip
    except KeyboardInterrupt:
        return True
    write_json(options.out / EXPERIMENT, {**described, "broken": broken})
    return False
