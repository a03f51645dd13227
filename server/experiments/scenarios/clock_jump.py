"""The wall clock of a server jumps by up to an hour, forth or back."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import CLOCK, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One jump and the way back."""
    name = hands.leader() if chance.random() < 0.7 else chance.choice(hands.names)
    with hands.fault("clock jump", name):
        hands.jump_clock(name, chance.choice((-3600.0, -60.0, 60.0, 3600.0)))
        yield chance.uniform(1.0, 2.5)
        hands.jump_clock(name, 0.0)
    yield chance.uniform(0.5, 1.5)


SCENARIO = Scenario("clock-jump", "the clock of a server jumps by up to an hour", steps, frozenset({CLOCK}))
