"""There is no room on a server's disk, or on all: what cannot be stored is refused, and goes on when there is room."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import DISK, Hands, Scenario, Steps


def steps(hands: Hands, chance: Random) -> Steps:
    """Some seconds without room for another log segment; jobs are large so that one is needed."""
    names = (hands.leader(),) if chance.random() < 0.7 else hands.names
    with hands.fault("full disk", *names):
        for name in names:
            hands.fill_disk(name, full=True)
        yield chance.uniform(3.0, 5.0)
        for name in names:
            hands.fill_disk(name, full=False)
    yield chance.uniform(2.0, 3.0)


SCENARIO = Scenario(
    "full-disk", "a disk has no room for a while", steps, frozenset({DISK}), rate=200.0, padding=100_000,
    short_seconds=5.0,
)  # fmt: skip
