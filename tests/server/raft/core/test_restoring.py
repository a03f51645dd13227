"""A state restored through the log is the same on every server, or on none, whoever stops in between."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from tests.server.raft.servers import applied, leader_of, quiet_cluster, run_until, write
from yurt.server.raft.core.installing import Installing
from yurt.server.raft.errors import NotLeader, OutcomeUnknown, Overloaded, StorageFull
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server

STATE = [b"kept-%d" % number for number in range(40)]


def pieces(size: int = 8) -> list[bytes]:
    """The state in many small pieces."""
    stream = zlib.compress(b"\n".join(STATE))
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def restore(leader: Server, size: int = 8) -> list[tuple[Any, Exception | None]]:
    """Ask a leader; the list gets its answer."""
    answers: list[tuple[Any, Exception | None]] = []
    assert leader.engine is not None
    leader.engine.restore_state(pieces(size), lambda result, error: answers.append((result, error)))
    return answers


def until(cluster: Cluster, predicate: Any) -> None:
    run_until(cluster, predicate, check=False)


def all_equal(cluster: Cluster) -> bool:
    states = [applied(one) for one in cluster.servers.values() if one.engine is not None]
    return all(state == states[0] for state in states) and len(states) == len(cluster.servers)


def propose(cluster: Cluster) -> bool:
    """One more command is acknowledged."""
    before = len(cluster.clients.acknowledged)
    for _ in range(20):
        cluster.clients.write()
        end = cluster.world.time + 0.5
        until(cluster, lambda: len(cluster.clients.acknowledged) > before or cluster.world.time > end)  # noqa: B023
        if len(cluster.clients.acknowledged) > before:
            return True
    return False


def ready(size: int = 3) -> tuple[Cluster, Server]:
    cluster = quiet_cluster(size=size)
    write(cluster, 10)
    leader = leader_of(cluster)
    assert leader is not None
    return cluster, leader


def test_every_server_takes_it_and_goes_on() -> None:
    cluster, leader = ready()
    answers = restore(leader)
    assert len(pieces()) > 10
    until(cluster, lambda: answers)
    assert answers == [(len(STATE) + 1, None)]
    assert propose(cluster)
    until(cluster, lambda: all_equal(cluster) and len(applied(leader)) > len(STATE) + 1)
    assert applied(leader)[: len(STATE) + 1] == [*STATE, b"restored"]
    for server in cluster.servers.values():
        assert server.engine is not None and not server.engine.is_restoring


def test_no_snapshot_holds_a_part_of_it() -> None:
    cluster, leader = ready()
    taken: list[bool] = []
    for server in cluster.servers.values():
        engine = server.engine
        assert engine is not None
        take = engine.take_snapshot

        def note(engine: Any = engine, take: Any = take) -> None:
            taken.append(engine.is_restoring)
            take()

        engine.take_snapshot = note  # type: ignore[method-assign]
    answers = restore(leader, size=2)
    assert len(pieces(2)) > 40, "twice as many as make a snapshot due"
    until(cluster, lambda: answers)
    assert propose(cluster)
    assert propose(cluster)
    assert taken and not any(taken)


@pytest.mark.parametrize("at", [0, 1, 3, 8, 15, 25])
def test_a_leader_that_stops_in_between_leaves_all_or_nothing(at: int) -> None:
    cluster, leader = ready()
    answers = restore(leader)
    assert leader.engine is not None
    proposed = leader.engine._proposed
    assert proposed is not None
    until(cluster, lambda: proposed.applied >= min(at, len(proposed.pieces)) or answers)
    leader.crash()
    until(cluster, lambda: leader_of(cluster) is not None)
    leader.start()
    assert propose(cluster)
    assert propose(cluster)
    until(cluster, lambda: all_equal(cluster))
    restored = b"restored" in applied(leader)
    assert restored == (at >= len(proposed.pieces)) or restored == (proposed.appended == len(proposed.pieces))
    for server in cluster.servers.values():
        assert server.engine is not None and not server.engine.is_restoring
    again = restore(leader_of(cluster) or leader)
    until(cluster, lambda: again)
    assert again[0][1] is None
    until(cluster, lambda: all_equal(cluster) and applied(leader)[-1] == b"restored")


@pytest.mark.parametrize("at", [2, 10, 20])
def test_a_follower_that_stops_in_between_catches_up(at: int) -> None:
    cluster, leader = ready()
    follower = next(one for one in cluster.servers.values() if one is not leader)
    answers = restore(leader)
    assert leader.engine is not None
    proposed = leader.engine._proposed
    assert proposed is not None
    until(cluster, lambda: proposed.applied >= at or answers)
    follower.crash()
    until(cluster, lambda: answers)
    assert answers[0][1] is None
    follower.start()
    until(cluster, lambda: all_equal(cluster))
    assert applied(follower)[-1] == b"restored"


def test_all_stop_while_they_load() -> None:
    cluster, leader = ready()
    answers = restore(leader)
    until(cluster, lambda: any(one.engine and one.engine.apply_waits for one in cluster.servers.values()))
    for server in cluster.servers.values():
        server.crash()
    for server in cluster.servers.values():
        server.start()
    until(cluster, lambda: leader_of(cluster) is not None and all_equal(cluster))
    assert not answers, "nobody was told that it was done"
    assert propose(cluster)
    until(cluster, lambda: all_equal(cluster))


def test_it_ends_like_a_proposal() -> None:
    cluster, leader = ready()
    follower = next(one for one in cluster.servers.values() if one is not leader)
    assert isinstance(restore(follower)[0][1], NotLeader)
    answers = restore(leader)
    assert isinstance(restore(leader)[0][1], Overloaded)
    assert leader.engine is not None
    leader.engine.step_down(leader.engine.term + 1)
    until(cluster, lambda: answers)
    assert isinstance(answers[0][1], NotLeader), "the last piece is not in the log: it was surely not done"
    leader.engine.storage.journal._segments.writable = False
    until(cluster, lambda: leader_of(cluster) is not None)
    if leader_of(cluster) is leader:
        assert isinstance(restore(leader)[0][1], StorageFull)


def test_a_step_down_after_the_last_piece_leaves_it_open() -> None:
    cluster, leader = ready()
    answers = restore(leader)
    assert leader.engine is not None
    proposed = leader.engine._proposed
    assert proposed is not None
    until(cluster, lambda: proposed.appended == len(proposed.pieces))
    leader.engine.step_down(leader.engine.term + 1)
    assert isinstance(answers[0][1], OutcomeUnknown)


@pytest.mark.parametrize("seed", range(12))
def test_under_crashes_and_losses_all_servers_end_up_equal(seed: int) -> None:
    chance = random.Random(seed)
    cluster, _ = ready(size=chance.choice((3, 5)))
    cluster.network.loss = chance.choice((0.0, 0.1))
    for _ in range(6):
        leader = leader_of(cluster)
        if leader is not None:
            restore(leader, size=chance.choice((4, 8, 64)))
        until(cluster, lambda end=cluster.world.time + 0.3 * chance.random(): cluster.world.time > end)
        victim = chance.choice(list(cluster.servers.values()))
        if victim.engine is not None:
            victim.crash()
            cluster.world.later(0.5 * chance.random(), lambda victim=victim: victim.engine is None and victim.start())
        until(cluster, lambda end=cluster.world.time + 0.8 * chance.random(): cluster.world.time > end)
        propose(cluster)
    cluster.network.loss = 0.0
    for server in cluster.servers.values():
        if server.engine is None:
            server.start()
    assert propose(cluster)
    until(cluster, lambda: all_equal(cluster))


def test_an_installed_snapshot_ends_a_half_collected_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, leader = ready()
    follower = next(one for one in cluster.servers.values() if one is not leader)
    engine = follower.engine
    assert engine is not None
    answers = restore(leader)
    until(cluster, lambda: engine.is_restoring or answers)
    assert engine.is_restoring
    cluster.network.cut = {(leader.name, follower.name)}
    until(cluster, lambda: answers)
    for _ in range(60):
        assert propose(cluster)
    installs: list[int] = []
    take_over = Installing._take_over
    monkeypatch.setattr(
        Installing, "_take_over", lambda self, snapshot, loaded: installs.append(1) or take_over(self, snapshot, loaded)
    )
    cluster.network.cut = set()
    until(cluster, lambda: all_equal(cluster))
    assert not engine.is_restoring
