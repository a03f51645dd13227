"""The simulator's own faults: torn writes, rotten snapshots, late and lost messages, members that come and go."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import DICE, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One of the kinds that the seed chose."""
    hands.dice()
    yield chance.uniform(0.0, 1.4)


SCENARIO = Scenario(
    "swarm", "whatever the simulator can break, in sets that the seed draws (-simulated)", steps, frozenset({DICE}),
    short_seconds=7.0,
)  # fmt: skip
