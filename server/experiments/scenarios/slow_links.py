"""Everything to and from a server takes longer."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import LINKS, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """Some seconds of delay."""
    name = hands.leader() if chance.random() < 0.7 else chance.choice(hands.names)
    with hands.fault("slow links", name):
        hands.slow_links(name, chance.choice((0.02, 0.1, 0.3)))
        yield chance.uniform(1.0, 3.0)
        hands.slow_links(name, 0.0)
    yield chance.uniform(0.5, 1.5)


SCENARIO = Scenario("slow-links", "links of a server take 20 to 300 ms longer", steps, frozenset({LINKS}))
