"""Links that work in one direction: a server that hears and is not heard, or the other way round."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import LINKS, Hands, Scenario, Steps, apart


def steps(hands: Hands, chance: Random) -> Steps:
    """Half a partition of one server, mostly the leader."""
    name = hands.leader() if chance.random() < 0.7 else chance.choice(hands.names)
    outwards = chance.random() < 0.5
    with hands.fault("is not heard" if outwards else "hears nobody", name):
        hands.cut({pair for pair in apart(hands.names, name) if (pair[0] == name) == outwards})
        yield chance.uniform(1.0, 3.0)
        hands.cut(set())
    yield chance.uniform(0.5, 2.0)


SCENARIO = Scenario("one-way", "links of a server work in one direction only", steps, frozenset({LINKS}))
