"""Nothing is broken: what everything else is compared with."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import Hands, Scenario, Steps


def steps(_hands: Hands, _chance: Random) -> Steps:
    """A second."""
    yield 1.0


SCENARIO = Scenario("calm", "no fault at all, to compare with", steps)
