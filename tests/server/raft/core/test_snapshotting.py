"""When snapshots are written, what they say, and which part of the log they let go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.server.raft.servers import leader_of, quiet_cluster, run_for, run_until, write
from yurt.server.raft.core.configuration import pack_change
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.errors import Corrupt
from yurt.server.raft.storage.snapshots import SnapshotStore
from yurt.server.testing.simulation.cluster import Cluster


def alone(**config: float) -> tuple[Cluster, Engine]:
    """One server with another configuration of snapshots."""
    cluster = quiet_cluster(size=1)
    leader = leader_of(cluster)
    assert leader is not None and leader.engine is not None
    leader.engine.config = replace(leader.engine.config, **config)  # type: ignore[arg-type]
    return cluster, leader.engine


def test_they_come_with_the_number_of_entries() -> None:
    cluster, engine = alone()
    write(cluster, 15)
    run_for(cluster, 0.2)
    assert engine.snapshot.index == 0
    write(cluster, 8)
    run_for(cluster, 0.2)
    assert engine.snapshot.index >= 20


def test_they_come_with_the_bytes_of_the_log() -> None:
    cluster, engine = alone(snapshot_entries=10_000, snapshot_bytes=300)
    write(cluster, 30)
    run_for(cluster, 0.2)
    assert engine.snapshot.index > 5


def test_they_wait_for_their_time() -> None:
    cluster, engine = alone(snapshot_interval=10.0)
    write(cluster, 30)
    run_for(cluster, 0.2)
    first = engine.snapshot.index
    assert first >= 20, "the first needs not wait"
    write(cluster, 60)
    run_for(cluster, 2.0)
    assert engine.snapshot.index == first, "not before the interval is over"
    run_for(cluster, 20.0)
    assert engine.snapshot.index > first + 40, "though nothing was written meanwhile"


def test_they_say_the_configuration_as_of_their_index() -> None:
    """An uncommitted change after it is not in it (and may be taken back)."""
    cluster, engine = alone(snapshot_entries=10_000)
    write(cluster, 10)
    old = engine.configuration
    changed = [*old, ["new", "new:1", "new", "learner"]]
    index = engine.log.last_index + 1
    engine.append_entries([(pack_change(changed, engine.configurations.latest.index), index, engine.term)])
    assert engine.configuration == changed and engine.last_applied < index
    engine.take_snapshot()
    run_until(cluster, lambda: engine.snapshot.index)
    assert engine.snapshot.index < index
    assert (engine.snapshot.configuration, engine.snapshot.configuration_index) == (old, 1)


@pytest.mark.parametrize(("trailing", "size"), [(5, 1 << 20), (0, 1 << 20), (1000, 200), (1000, 1 << 20)])
def test_the_log_is_kept_from_the_older_one_and_before_it(trailing: int, size: int) -> None:
    cluster, engine = alone(trailing_entries=trailing, snapshot_bytes=size)
    write(cluster, 90)
    run_for(cluster, 0.2)
    kept = engine.storage.snapshots.kept_index()
    assert kept > 20
    first = engine.log.first_index
    assert first <= kept + 1, "the older one can be completed from the log"
    if size == 200:
        assert 2 < first <= kept, "trailing entries are bounded in bytes, too"
    else:
        assert first == max(1, kept + 1 - trailing)


def test_what_is_being_sent_keeps_its_log() -> None:
    cluster, engine = alone()
    write(cluster, 30)
    run_for(cluster, 0.2)
    sent = engine.snapshot
    engine.storage.snapshots.pin(sent)
    write(cluster, 90)
    run_for(cluster, 0.2)
    assert engine.log.first_index <= sent.index + 1
    assert engine.storage.snapshots.file_bytes(sent) > 0
    engine.storage.snapshots.unpin(sent)
    write(cluster, 30)
    run_for(cluster, 0.2)
    assert engine.log.first_index > sent.index + 1


def test_one_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, engine = alone()
    verify, failures = SnapshotStore.verify, []

    def rotten(self: SnapshotStore, path: str) -> object:
        if len(failures) < 2:
            failures.append(path)
            raise Corrupt("it does not read back")
        return verify(self, path)

    monkeypatch.setattr(SnapshotStore, "verify", rotten)
    write(cluster, 30)
    run_until(cluster, lambda: engine.snapshot.index >= 20, 10.0)
    assert engine.snapshot_stats()["snapshots_failed"] == "2"
