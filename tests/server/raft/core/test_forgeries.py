"""What a member in somebody else's hands may send: it is refused and logged, nothing of it is applied, nobody dies."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgpack
import pytest

from tests.server.raft.servers import applied, leader_of, quiet_cluster, run_for, run_until, write
from yurt.server.raft.core.applying import BATCH, DIGEST, RESTORE, pack_batch
from yurt.server.raft.core.configuration import pack_change, pack_first
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.messages import (
    FAILED,
    Append,
    BadMessage,
    Message,
    SnapshotAnswer,
    SnapshotBegin,
    SnapshotChunk,
    encode,
)
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server
from yurt.server.testing.virtual.disk import SimulatedDisk

ENTRIES: dict[str, Callable[[int, int], list[tuple[bytes, int, int]]]] = {
    "of no kind": lambda index, term: [(b"?", index, term)],
    "with a word after nothing": lambda index, term: [(b"Nothing", index, term)],
    "empty": lambda index, term: [(b"", index, term)],
    "a batch of half a command": lambda index, term: [(pack_batch([b"command"])[:-2], index, term)],
    "a batch with more behind it": lambda index, term: [(pack_batch([b"command"]) + b"\0", index, term)],
    "a batch of texts": lambda index, term: [(BATCH + msgpack.packb(["command"]), index, term)],
    "a batch of a billion": lambda index, term: [(BATCH + b"\xdd\x3b\x9a\xca\x00", index, term)],
    "a question about nothing": lambda index, term: [(DIGEST + msgpack.packb([1, "x"]), index, term)],
    "a piece of no state": lambda index, term: [(RESTORE + msgpack.packb([b"id", 0]), index, term)],
    "a configuration of nobody": lambda index, term: [(pack_first([]), index, term)],
    "a configuration of numbers": lambda index, term: [(b"C" + msgpack.packb([[1, 2, 3]]), index, term)],
    "a configuration of half a server": lambda index, term: [(pack_change([["a", "a:1"]], 1), index, term)],
    "a configuration of king and people": lambda index, term: [(pack_change([["a", "a", "a", "king"]], 1), index, term)],
    "a configuration of twins": lambda index, term: [(pack_change([["a", "a", "a"]] * 2, 1), index, term)],
    "a gap": lambda index, term: [(b"N", index + 1, term)],
    "of a later term": lambda index, term: [(b"N", index, term + 1)],
    "terms that go back": lambda index, term: [(b"N", index, term), (b"N", index + 1, term - 1)],
    "good, then bad": lambda index, term: [(pack_batch([b"forged"]), index, term), (b"?", index + 1, term)],
}  # fmt: skip


def follower_of(cluster: Cluster) -> tuple[Server, Engine, str]:
    """A follower, its engine, and the ID of its leader."""
    leader = leader_of(cluster)
    follower = next(server for server in cluster.servers.values() if server is not leader)
    assert follower.engine is not None and leader is not None
    return follower, follower.engine, leader.name


@pytest.mark.parametrize("forged", ENTRIES.values(), ids=ENTRIES)
def test_forged_entries_are_refused_whole(
    forged: Callable[[int, int], list[tuple[bytes, int, int]]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "raft.admission")
    cluster = quiet_cluster()
    write(cluster, 3)
    run_for(cluster, 0.3)
    follower, engine, leader = follower_of(cluster)
    last, term, state, files = engine.log.last_index, engine.term, list(applied(follower)), follower.disk.durable()
    message = Append(engine.cluster, term, 1, last, engine.last_term(), last + 2, forged(last + 1, term))
    with pytest.raises(BadMessage):
        engine.receive(leader, encode(message))
    assert [record.getMessage() for record in caplog.records] == ["raft message refused"]
    assert caplog.records[0].__dict__["peer"] == leader and caplog.records[0].__dict__["reason"]
    assert (engine.log.last_index, engine.term, engine.commit_index) == (last, term, last)
    run_for(cluster, 0.3)
    assert applied(follower)[: len(state)] == state and b"forged" not in applied(follower)
    assert follower.disk.durable().keys() == files.keys()
    write(cluster, 3)
    run_until(cluster, lambda: len(set(map(len, map(applied, cluster.servers.values())))) == 1)


def body_of(cluster: bytes, index: int, term: int, state: bytes, servers: list[list[str]]) -> tuple[bytes, int]:
    """A snapshot's whole file, as a server of that cluster writes it, and the CRC of its body."""
    disk = SimulatedDisk()
    store = SnapshotStore(disk, "snap", cluster)
    store.open()
    writer = store.begin(Snapshot(index, term, servers, configuration_index=1))
    writer.write(state)
    made = writer.finish()
    return disk.read(store.path(made)), made.crc


SNAPSHOTS: dict[str, Callable[[bytes, int], tuple[bytes, int]]] = {
    "one bit of the body": lambda file, crc: (bytes([file[0] ^ 1]) + file[1:], crc),
    "one bit of the metadata": lambda file, crc: (file[:-40] + bytes([file[-40] ^ 1]) + file[-39:], crc),
    "another checksum announced": lambda file, crc: (file, crc ^ 1),
    "no end": lambda file, crc: (file[:-1] + b"\0", crc),
    "nothing but zeros": lambda file, crc: (bytes(len(file)), crc),
}


def offer(cluster: Cluster, file: bytes, crc: int) -> tuple[Server, Engine, list[Message]]:
    """Send a follower a snapshot in the name of its leader; what it answered."""
    follower, engine, leader = follower_of(cluster)
    answers: list[Message] = []
    send = engine.send_message
    engine.send_message = lambda peer, message: (answers.append(message), send(peer, message))[1]  # type: ignore[method-assign, func-returns-value]
    index, term = engine.log.last_index + 50, engine.term
    engine.receive(leader, encode(SnapshotBegin(engine.cluster, term, 1, index, term, len(file), crc)))
    engine.receive(leader, encode(SnapshotChunk(engine.cluster, term, 2, index, term, 0, file)))
    return follower, engine, answers


def refused(cluster: Cluster, file: bytes, crc: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "raft.snapshots")
    state = list(applied(follower_of(cluster)[0]))
    follower, engine, answers = offer(cluster, file, crc)
    run_until(cluster, lambda: any(isinstance(one, SnapshotAnswer) and one.state == FAILED for one in answers))
    assert "a snapshot was not installed" in [record.getMessage() for record in caplog.records]
    assert applied(follower)[: len(state)] == state and not engine.snapshot.index and engine.incoming is None
    assert not [path for path in follower.disk.seen if path.endswith((".snap", ".tmp")) and path.startswith("snap/")]
    write(cluster, 3)
    run_until(cluster, lambda: len(set(map(len, map(applied, cluster.servers.values())))) == 1)


@pytest.mark.parametrize("forge", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_snapshot_with_a_wrong_checksum_is_refused(
    forge: Callable[[bytes, int], tuple[bytes, int]], caplog: pytest.LogCaptureFixture
) -> None:
    cluster = quiet_cluster()
    write(cluster, 3)
    _, engine, _ = follower_of(cluster)
    file, crc = body_of(engine.cluster, engine.log.last_index + 50, engine.term, b"forged\nstate", cluster.bootstrap)
    refused(cluster, *forge(file, crc), caplog)


@pytest.mark.parametrize("kind", ["of another cluster", "of another entry"])
def test_a_snapshot_that_is_not_the_announced_one_is_refused(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    cluster = quiet_cluster()
    write(cluster, 3)
    _, engine, _ = follower_of(cluster)
    identity = b"another cluster." if kind == "of another cluster" else engine.cluster
    index = engine.log.last_index + (50 if kind == "of another cluster" else 51)
    refused(cluster, *body_of(identity, index, engine.term, b"forged\nstate", cluster.bootstrap), caplog)


def test_a_state_that_cannot_be_loaded_ends_no_server(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksums are right, so the sender has made it so."""
    cluster = quiet_cluster()
    write(cluster, 3)
    follower, engine, _ = follower_of(cluster)
    monkeypatch.setattr(follower.machine, "load", lambda chunks: [] if not b"".join(chunks) else 1 // 0)
    file, crc = body_of(engine.cluster, engine.log.last_index + 50, engine.term, b"forged\nstate", cluster.bootstrap)
    refused(cluster, file, crc, caplog)
