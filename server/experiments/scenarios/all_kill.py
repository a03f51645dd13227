"""All servers are killed at once, and started again."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import KILL, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One power cut."""
    with hands.fault("kill", *hands.names):
        for name in hands.names:
            hands.kill(name)
        yield chance.uniform(0.1, 0.5)
        for name in hands.names:
            hands.start(name)
    yield 0.5
    hands.leader()
    yield chance.uniform(1.5, 2.5)


SCENARIO = Scenario("all-kill", "all servers are killed at once and started again", steps, frozenset({KILL}))
