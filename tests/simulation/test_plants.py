"""Every planted bug is found, and without it the same lives are clean."""

from __future__ import annotations

import pytest

from tests.server.raft.servers import leader_of, quiet_cluster, write
from tests.server.raft.test_journal_crash import test_every_crash_leaves_what_is_durable as every_crash
from tests.simulation.hunt import finds, sown
from tests.simulation.plants import PLANTS
from tests.simulation.plants.plant import Plant
from tests.simulation.plants.replication import LATE_ANSWERS
from tests.simulation.plants.storage import CUTS
from yurt.server.raft.errors import Corrupt
from yurt.server.raft.messages import AppendAnswer, encode
from yurt.server.testing.simulation.cluster import Cluster

HUNTED = 40


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_found(plant: Plant) -> None:
    """The recorded seed finds it; a change of the engine may move it, so a few others are tried."""
    seed = next((seed for seed in (plant.seed, *range(HUNTED)) if finds(plant, seed)), None)
    assert seed is not None, f"python -m tests.simulation.hunt 300 '{plant.name}' finds a seed to record"
    plant.life(seed).live()


def match_after_a_late_answer(cluster: Cluster) -> tuple[int, int]:
    """What the leader counts for a follower before and after an answer of an earlier term to more than it has sent."""
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    engine = leader.engine
    name, progress = next(iter(engine.progress.items()))
    cluster.network.cut = {(leader.name, name), (name, leader.name)}
    write(cluster, 2)
    before = progress.match
    late = AppendAnswer(engine.cluster, engine.term - 1, max(progress.inflight, default=1), True, engine.log.last_index)
    engine.receive(name, encode(late))
    return before, progress.match


def test_an_answer_of_an_earlier_term_proves_nothing() -> None:
    before, after = match_after_a_late_answer(quiet_cluster())
    assert before == after
    with sown(LATE_ANSWERS):
        before, after = match_after_a_late_answer(quiet_cluster())
    assert before < after


def test_cuts_that_are_not_durable_are_found_on_the_disk() -> None:
    every_crash("cut over segments")
    with sown(CUTS), pytest.raises((AssertionError, Corrupt)):
        every_crash("cut over segments")
