"""Syncs of a server take long, mostly of the leader."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import DISK, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """Some seconds of slow syncs."""
    name = hands.leader() if chance.random() < 0.7 else chance.choice(hands.names)
    with hands.fault("slow disk", name):
        hands.slow_disk(name, chance.choice((0.05, 0.2, 0.5)))
        yield chance.uniform(1.5, 3.0)
        hands.slow_disk(name, 0.0)
    yield chance.uniform(0.5, 1.5)


SCENARIO = Scenario("slow-disk", "each sync of a server takes 50 to 500 ms longer", steps, frozenset({DISK}))
