"""A server stands still, mostly the leader, and goes on as if nothing had been."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import PAUSE, Hands, Scenario, Steps

LEADERS = 0.7


def steps(hands: Hands, chance: Random) -> Steps:
    """One pause."""
    name = hands.leader() if chance.random() < LEADERS else chance.choice(hands.names)
    with hands.fault("pause", name):
        hands.pause(name)
        yield chance.uniform(0.2, 3.0)
        hands.resume(name)
    yield chance.uniform(0.5, 2.0)


SCENARIO = Scenario("pause", "a server stands still for up to 3 s", steps, frozenset({PAUSE}))
