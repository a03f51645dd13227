"""All servers are replaced by the next version, one by one; later rounds restart that version."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import UPGRADE, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One round."""
    for name in hands.names:
        with hands.fault("upgrade", name):
            hands.upgrade(name)
        yield chance.uniform(0.5, 1.0)


SCENARIO = Scenario(
    "rolling-upgrade", "servers are replaced by the next version (-upgrade-to), one by one", steps, frozenset({UPGRADE})
)
