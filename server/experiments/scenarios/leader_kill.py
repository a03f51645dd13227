"""The leader is killed, and started again."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import KILL, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One kill."""
    leader = hands.leader()
    with hands.fault("kill", leader):
        hands.kill(leader)
        yield chance.uniform(0.5, 2.5)
        hands.start(leader)
    yield chance.uniform(1.0, 2.0)


SCENARIO = Scenario("leader-kill", "the leader is killed and started again", steps, frozenset({KILL}))
