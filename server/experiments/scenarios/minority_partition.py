"""The leader is on the smaller side of a partition: the others elect another one, and it must notice."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import LINKS, Hands, Scenario, Steps, apart


def steps(hands: Hands, chance: Random) -> Steps:
    """One partition."""
    leader = hands.leader()
    others = [one for one in hands.names if one != leader]
    inside = (leader, *chance.sample(others, (len(hands.names) - 1) // 2 - 1))
    with hands.fault("partition", *inside):
        hands.cut(apart(hands.names, *inside))
        yield chance.uniform(1.5, 3.5)
        hands.cut(set())
    yield chance.uniform(0.5, 2.0)


SCENARIO = Scenario("minority-partition", "the leader is cut off with a minority", steps, frozenset({LINKS}))
