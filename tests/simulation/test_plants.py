"""Every planted bug is found, and without it the same lives are clean."""

from __future__ import annotations

import pytest

from tests.server.raft.servers import leader_of, quiet_cluster, write
from tests.server.raft.storage.test_journal_crash import test_every_crash_leaves_what_is_durable as every_crash
from tests.simulation.hunt import finds, sown
from tests.simulation.plants import PLANTS
from tests.simulation.plants.plant import Plant
from tests.simulation.plants.replication import LATE_ANSWERS, LOG_END
from tests.simulation.plants.storage import CUTS
from yurt.server.raft.core.messages import Append, AppendAnswer, encode
from yurt.server.raft.errors import Corrupt
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


def claim_of_a_follower(cluster: Cluster) -> tuple[int, int]:
    """What a follower with an entry that its leader never had proves by an empty message, and where that ends."""
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    follower = next(server for server in cluster.running if server is not leader)
    engine = follower.engine
    assert engine is not None
    cluster.network.cut = {(leader.name, follower.name), (follower.name, leader.name)}
    said: list[AppendAnswer] = []
    engine.send_message = lambda _peer, message: said.append(message)  # type: ignore[method-assign, assignment]
    last, term = engine.log.last_index, engine.term
    previous = engine.log.term_at(last)
    assert previous is not None
    (payload, _index, _term), *_ = engine.log.entries(last, 1)
    entry = (payload, last + 1, term)
    engine.receive(leader.name, encode(Append(engine.cluster, term, 1 << 40, last, previous, 0, [entry])))
    engine.receive(leader.name, encode(Append(engine.cluster, term, 1 << 41, last, previous, 0, [])))
    cluster.run_until(cluster.world.time + 0.05)
    return next(answer.index for answer in said if answer.sequence == 1 << 41), last


def test_an_answer_claims_what_its_message_proved() -> None:
    claimed, proved = claim_of_a_follower(quiet_cluster())
    assert claimed == proved
    with sown(LOG_END):
        claimed, proved = claim_of_a_follower(quiet_cluster())
    assert claimed == proved + 1


def test_cuts_that_are_not_durable_are_found_on_the_disk() -> None:
    every_crash("cut over segments")
    with sown(CUTS), pytest.raises((AssertionError, Corrupt)):
        every_crash("cut over segments")
