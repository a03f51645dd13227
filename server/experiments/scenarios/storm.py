"""All faults of servers, links and disks in turn, by chance."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import DISK, KILL, LINKS, PAUSE, Hands, Scenario, Steps
from yurt.server.experiments.scenarios import (
    all_kill,
    flapping,
    follower_kill,
    leader_kill,
    minority_partition,
    one_way,
    pause,
    slow_disk,
    slow_links,
)

ROUNDS = (leader_kill, follower_kill, all_kill, pause, minority_partition, one_way, flapping, slow_links, slow_disk)


def steps(hands: Hands, chance: Random) -> Steps:
    """One of them."""
    yield from chance.choice(ROUNDS).steps(hands, chance)


SCENARIO = Scenario(
    "storm", "kills, pauses, partitions, slow links and disks, by chance", steps,
    frozenset({KILL, PAUSE, LINKS, DISK}), seconds=60.0, short_seconds=8.0,
)  # fmt: skip
