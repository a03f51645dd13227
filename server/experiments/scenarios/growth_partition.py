"""Two servers join a leader that is cut off with them: both sides may take themselves for a majority."""

from __future__ import annotations

from random import Random

from yurt.server.experiments.scenario import JOIN, LINKS, Hands, Scenario, Steps, apart


def steps(hands: Hands, chance: Random) -> Steps:
    """The partition, as long as there are servers that can join."""
    new = [name for name in hands.names if name in hands.down()]
    if not new:
        yield 1.0
        return
    inside = (hands.leader(), *new)
    with hands.fault("partition", *inside):
        hands.cut(apart(hands.names, *inside))
        for name in new:
            hands.start(name)
        yield chance.uniform(17.0, 20.0)  # some software waits 5 s before it dials again
        hands.cut(set())
    yield chance.uniform(4.0, 6.0)


SCENARIO = Scenario(
    "growth-partition", "two servers join a leader that is cut off with them", steps, frozenset({JOIN, LINKS}),
    servers=5, later=2, seconds=8.0,
)  # fmt: skip
