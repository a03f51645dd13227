"""A follower learns how far the leader has committed, also if nobody writes any more (docs/raft.md)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.raft.servers import leader_of, run_for, run_until, write
from tests.simulation.hunt import sown
from tests.simulation.plants import PLANTS
from yurt.server.raft.core import messages
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server

TOLD_WHEN_SENT = next(plant for plant in PLANTS if plant.name == "a commit index counts as told when it is sent")


def toppled(seed: int) -> tuple[Cluster, Server, Server]:
    """A leader that stood still for longer than an election takes; another one leads, and nobody writes."""
    settings = {"message_bytes": 100, "snapshot_entries": 10_000, "in_order": True}
    cluster = Cluster(seed, 3, plain=True, settings=settings)
    run_until(cluster, lambda: leader_of(cluster) is not None)
    write(cluster, 40)
    before = leader_of(cluster)
    assert before is not None
    before.paused_until = cluster.world.time + 2.5
    run_for(cluster, 2.6)
    run_until(cluster, lambda: leader_of(cluster) is not None)
    after = leader_of(cluster)
    assert after is not None and after is not before
    run_for(cluster, 4.0)
    return cluster, before, after


def answers_reads(cluster: Cluster, server: Server) -> bool:
    """Whether a default read is answered within two seconds."""
    ended: list[Any] = []
    assert server.engine is not None
    server.engine.read(lambda _result, error: ended.append(error))
    run_for(cluster, 2.0)
    return ended == [None]


@pytest.mark.parametrize("seed", range(5))
def test_a_toppled_leader_answers_reads_though_nobody_writes(seed: int) -> None:
    cluster, before, after = toppled(seed)
    assert before.engine is not None and after.engine is not None
    assert before.engine.commit_index == after.engine.commit_index == after.engine.log.last_index
    assert answers_reads(cluster, before)


def test_without_that_it_answers_none() -> None:
    with sown(TOLD_WHEN_SENT):
        silent = [seed for seed in range(5) if not answers_reads(*toppled(seed)[:2])]
    assert silent


def test_a_lost_commit_index_is_told_again() -> None:
    cluster = Cluster(1, 3, plain=True)
    run_until(cluster, lambda: leader_of(cluster) is not None)
    write(cluster, 3)
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    follower = next(server for server in cluster.servers.values() if server is not leader)
    lost: list[int] = []
    send = cluster.network.send

    def lossy(sender: Server, receiver: str, data: bytes) -> None:
        message = messages.decode(data)
        if receiver == follower.name and isinstance(message, messages.Append) and not message.entries and not lost:
            lost.append(message.commit_index)
        else:
            send(sender, receiver, data)

    cluster.network.send = lossy  # type: ignore[method-assign]
    write(cluster, 1)
    run_until(cluster, lambda: lost)
    assert follower.engine is not None and follower.engine.commit_index < lost[0]
    run_until(cluster, lambda: follower.engine.commit_index == lost[0])  # type: ignore[union-attr]
