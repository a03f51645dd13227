"""Nobody reaches anybody: there is no majority, nothing may be acknowledged, and no default read answered."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import LINKS, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One partition into single servers."""
    with hands.fault("partition", *hands.names):
        hands.cut({(a, b) for a in hands.names for b in hands.names if a != b})
        yield chance.uniform(1.0, 3.0)
        hands.cut(set())
    yield chance.uniform(1.5, 3.0)


SCENARIO = Scenario("majority-partition", "all servers are cut off from each other", steps, frozenset({LINKS}))
