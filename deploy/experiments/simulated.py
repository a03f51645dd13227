"""Experiments on virtual time: the simulator of the checkout's tests does what the scenario says.

The simulator is part of the tests, not of the package (docs/decisions/0008): it is looked for beside the package's
sources, and an installed package says that it has none.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yurt.deploy.experiments.records import EXPERIMENT, write_json
from yurt.deploy.experiments.run import LeftOut, Options, empty_directory
from yurt.deploy.experiments.scenario import DICE


def simulator() -> Any:
    """The module that runs simulated experiments; raises `LeftOut` without a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "tests/simulation/experiment.py").exists():
        raise LeftOut("the simulator is not here: -simulated needs a checkout of the sources")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module("tests.simulation.experiment")


def simulate(options: Options, _say: Callable[[str], None]) -> bool:
    """Run an experiment on virtual time into its directory; whether it was interrupted. Raises `LeftOut`."""
    found, scenario = simulator(), options.scenario
    if missing := scenario.needs - found.SimulatedHands.can:
        raise LeftOut(f"left out: the simulator cannot do {', '.join(sorted(missing))}")
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
