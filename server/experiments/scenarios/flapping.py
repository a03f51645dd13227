"""Links of a server break and come back several times a second."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import LINKS, Hands, Scenario, Steps, apart


def steps(hands: Hands, chance: Random) -> Steps:
    """Some seconds of flapping."""
    name = hands.leader() if chance.random() < 0.7 else chance.choice(hands.names)
    closing = chance.random() < 0.5
    with hands.fault("flapping", name):
        for _ in range(6):
            hands.cut(apart(hands.names, name), closing=closing)
            yield chance.uniform(0.05, 0.4)
            hands.cut(set())
            yield chance.uniform(0.05, 0.4)
    yield chance.uniform(0.5, 2.0)


SCENARIO = Scenario("flapping", "links of a server break and come back all the time", steps, frozenset({LINKS}))
