"""Any server is killed or stands still under mixed use of the jobs API."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import KILL, PAUSE, Hands, Scenario, Steps
from yurt.server.experiments.scenarios import leader_kill, pause


def steps(hands: Hands, chance: Random) -> Steps:
    """A kill or a pause."""
    yield from chance.choice((leader_kill.steps, pause.steps))(hands, chance)


SCENARIO = Scenario(
    "mixed-jobs", "kills and pauses under mixed use of the jobs API", steps, frozenset({KILL, PAUSE}), workload="jobs"
)
