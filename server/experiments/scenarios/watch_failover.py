"""The leader is killed or stands still under many blocking queries."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import KILL, PAUSE, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One fail-over."""
    leader = hands.leader()
    if chance.random() < 0.5:
        with hands.fault("kill", leader):
            hands.kill(leader)
            yield chance.uniform(0.5, 2.0)
            hands.start(leader)
    else:
        with hands.fault("pause", leader):
            hands.pause(leader)
            yield chance.uniform(1.0, 2.5)
            hands.resume(leader)
    yield chance.uniform(2.0, 3.0)


SCENARIO = Scenario(
    "watch-failover", "fail-over under blocking queries", steps, frozenset({KILL, PAUSE}), workload="watches", rate=60.0
)
