"""All servers are stopped cleanly and started again, one by one."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import STOP, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One round."""
    for name in hands.names:
        with hands.fault("restart", name):
            hands.stop(name)
            yield 0.1
            hands.start(name)
        yield chance.uniform(0.3, 1.0)


SCENARIO = Scenario("rolling-restart", "servers are restarted cleanly, one by one", steps, frozenset({STOP}))
