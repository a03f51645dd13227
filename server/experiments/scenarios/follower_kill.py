"""A follower is killed, and started again."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import KILL, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One kill."""
    leader = hands.leader()
    follower = chance.choice([one for one in hands.names if one != leader])
    with hands.fault("kill", follower):
        hands.kill(follower)
        yield chance.uniform(0.5, 2.5)
        hands.start(follower)
    yield chance.uniform(0.5, 1.5)


SCENARIO = Scenario("follower-kill", "a follower is killed and started again", steps, frozenset({KILL}))
