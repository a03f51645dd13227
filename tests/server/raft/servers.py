"""Simulated servers in the hands of one test: no faults but those that it makes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from yurt.server.raft.core.configuration import cluster_id
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.state import EngineConfig, Storage
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage.hard_state import HardStateFile
from yurt.server.raft.storage.journal import Journal
from yurt.server.raft.storage.snapshots import SnapshotStore
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Recorder, Server
from yurt.server.testing.virtual.disk import SimulatedDisk
from yurt.server.testing.virtual.world import Event


def quiet_cluster(seed: int = 1, size: int = 3) -> Cluster:
    """A cluster on a network without faults, with a leader."""
    cluster = Cluster(seed, size, plain=True)
    run_until(cluster, lambda: leader_of(cluster) is not None)
    return cluster


def leader_of(cluster: Cluster) -> Server | None:
    """The server that leads and is ready."""
    ready = [one for one in cluster.servers.values() if one.engine is not None and one.engine.is_ready]
    return max(ready, key=lambda one: one.engine.term if one.engine else 0, default=None)


def run_until(cluster: Cluster, predicate: Callable[[], Any], seconds: float = 30.0, *, check: bool = True) -> None:
    """Let virtual time pass until something is so; `check` that all have applied the same meanwhile."""
    deadline = cluster.world.time + seconds
    while not predicate():
        cluster.world.step()
        if check:
            cluster.invariants.check()
        assert cluster.world.time < deadline, "\n".join(cluster.world.trace[-20:])


def run_for(cluster: Cluster, seconds: float) -> None:
    """Let virtual time pass."""
    end = cluster.world.time + seconds
    while cluster.world.time < end:
        cluster.world.step()
        cluster.invariants.check()


def write(cluster: Cluster, count: int) -> None:
    """Commands one after another, each acknowledged."""
    for _ in range(count):
        wanted = len(cluster.clients.acknowledged) + 1

        cluster.clients.write()
        run_until(cluster, lambda wanted=wanted: len(cluster.clients.acknowledged) >= wanted)  # type: ignore[misc]


def applied(server: Server) -> list[bytes]:
    """What a server has applied."""
    return server.machine.applied


class NoRuntime:
    """Time stands still and nothing is done."""

    def now(self) -> float:
        return 0.0

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Event:
        return Event(callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        pass

    run_disk = run_aside = call_later

    async def close(self) -> None:
        pass


def reopened(disk: SimulatedDisk, cluster: Cluster, name: str) -> tuple[Engine, Recorder]:
    """A server that starts from a disk and goes no further."""
    identity = cluster_id(cluster.bootstrap)
    journal = Journal(disk, "log", identity, segment_bytes=cluster.segment_bytes)
    journal.open()
    snapshots = SnapshotStore(disk, "snap", identity)
    snapshots.open()
    machine = Recorder()
    engine = Engine(
        Peer(name, name, name),
        config=EngineConfig(),
        machine=machine,
        storage=Storage(journal, HardStateFile(disk, "hard"), snapshots),
        runtime=NoRuntime(),  # type: ignore[arg-type]  # nothing runs
        chance=random.Random(0),
        send=lambda _to, _data: None,
        fatal=_fail,
    )
    engine.start(cluster.bootstrap)
    return engine, machine


def _fail(error: BaseException) -> None:
    raise AssertionError(error) from error
