"""Nodes are lost while deployments go on; what ran there runs elsewhere, and nothing twice."""

from __future__ import annotations

from random import Random
from typing import Any

from yurt.server.experiments.scenario import KILL, NODES, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """One node is lost and comes back."""
    name = chance.choice(hands.nodes)
    with hands.fault("node lost", name):
        hands.kill(name)
        yield chance.uniform(4.0, 6.0)
        hands.start(name)
    yield chance.uniform(2.0, 3.0)


def _impatient() -> dict[str, Any]:
    """Servers that miss a node after a few seconds."""
    return {"server": {"heartbeat_grace": "1s", "min_heartbeat_ttl": "1s", "max_heartbeats_per_second": 100.0}}


SCENARIO = Scenario(
    "node-loss", "nodes are lost under deployments", steps, frozenset({KILL, NODES}), workload="deployments", nodes=3,
    servers=1, rate=15.0, short_seconds=5.0, settings=_impatient,
)  # fmt: skip
