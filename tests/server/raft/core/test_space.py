"""A disk without room: nothing new is written, nothing is lost, everything goes on when there is room again."""

from __future__ import annotations

from typing import Any

from tests.server.raft.servers import applied, leader_of, quiet_cluster, run_for, run_until, write
from yurt.server.raft.errors import StorageFull
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server


def ask(leader: Server, command: bytes) -> list[tuple[Any, Exception | None]]:
    answers: list[tuple[Any, Exception | None]] = []
    assert leader.engine is not None
    leader.engine.propose(command, lambda result, error: answers.append((result, error)))
    return answers


def fill(cluster: Cluster, server: Server) -> None:
    """Leave no room, so that the next segment cannot be set aside."""
    server.disk.capacity = server.disk.used()
    number = 0
    while server.engine is not None and server.engine.storage.journal.writable:
        number += 1
        assert number < 500
        cluster.clients.write()
        run_for(cluster, 0.05)


def quiet() -> tuple[Cluster, Server]:
    cluster = quiet_cluster()
    write(cluster, 5)
    leader = leader_of(cluster)
    assert leader is not None
    return cluster, leader


def test_a_leader_without_room_refuses_and_goes_on_later() -> None:
    cluster, leader = quiet()
    fill(cluster, leader)
    engine = leader.engine
    assert engine is not None
    answers = ask(leader, b"too much")
    run_until(cluster, lambda: answers)
    assert isinstance(answers[0][1], StorageFull)
    reads: list[Any] = []
    engine.read(lambda _found, error: reads.append(error))
    run_until(cluster, lambda: reads)
    assert reads == [None], "reads go on"
    run_for(cluster, 3.0)
    assert leader_of(cluster) is leader, "it still leads"
    assert b"too much" not in applied(leader)
    leader.disk.capacity = None
    run_until(cluster, lambda: engine.storage.journal.writable, 3.0)
    write(cluster, 5)


def test_what_waits_when_room_ends_is_refused() -> None:
    cluster, leader = quiet()
    engine = leader.engine
    assert engine is not None
    answers = [ask(leader, b"one"), ask(leader, b"two")]
    engine.storage.journal._segments.writable = False
    run_until(cluster, lambda: all(answers))
    assert all(isinstance(one[0][1], StorageFull) for one in answers)


def test_a_follower_without_room_takes_nothing_and_catches_up_later() -> None:
    cluster, leader = quiet()
    follower = next(one for one in cluster.servers.values() if one is not leader)
    engine = follower.engine
    assert engine is not None
    fill(cluster, follower)
    last = engine.log.last_index
    write(cluster, 30)
    run_for(cluster, 2.0)
    assert engine.log.last_index <= last + 1
    assert leader_of(cluster) is leader and engine.leader is not None, "heartbeats go on"
    follower.disk.capacity = None
    run_until(cluster, lambda: applied(follower) == applied(leader))


def test_a_snapshot_without_room_costs_the_snapshot_only() -> None:
    cluster, leader = quiet()
    engine = leader.engine
    assert engine is not None
    leader.disk.capacity = leader.disk.used() + 10
    before = engine.snapshots_failed
    engine.take_snapshot()
    run_until(cluster, lambda: engine.snapshots_failed > before)
    leader.disk.capacity = None
    write(cluster, 60)
    run_until(cluster, lambda: engine.snapshot.index > 30)
