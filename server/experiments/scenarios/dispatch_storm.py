"""The leader is killed in a storm of dispatches."""

from __future__ import annotations

from yurt.server.experiments.scenario import KILL, Scenario
from yurt.server.experiments.scenarios.leader_kill import steps

SCENARIO = Scenario(
    "dispatch-storm", "the leader is killed in a storm of dispatches", steps, frozenset({KILL}), workload="dispatch",
    rate=150.0,
)  # fmt: skip
