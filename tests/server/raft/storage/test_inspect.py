"""What is shown of a server's files is what a start would find; looking changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from yurt.server.raft.core.configuration import cluster_id, pack_first
from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.storage.inspect import Examination, Examined
from yurt.server.raft.storage.journal import Journal
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore
from yurt.server.raft.transport.forming import store_configuration

SERVERS = [["a", "h:1", "one"], ["b", "h:2", "two"]]


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """Files of a server that was killed: 40 entries in several segments, two snapshots."""
    path, disk = str(tmp_path), RealDisk(sync=False)
    store_configuration(path, SERVERS)
    identity = cluster_id(SERVERS)
    journal = Journal(disk, f"{path}/log", identity, segment_bytes=1024)
    journal.open()
    journal.perform([journal.append([(pack_first(SERVERS), 1, 1)])])
    for index in range(2, 41):
        journal.perform([journal.append([(b"N" * 60, index, 1 + index // 20)], commit_hint=index - 1)])
    journal.close()
    HardStateFile(disk, path).save(HardState(3, "a"))
    store = SnapshotStore(disk, f"{path}/snapshots", identity)
    store.open()
    for index in (10, 20):
        writer = store.begin(Snapshot(index, 1 + index // 20, SERVERS, configuration_index=1))
        writer.write(b"state")
        writer.finish()
    return path


def look(directory: str) -> Examined:
    """Examine, and make sure that nothing changes."""
    before = {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}
    found = Examination(RealDisk(), directory).run()
    assert {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()} == before
    return found


def test_everything_is_shown(directory: str) -> None:
    found = look(directory)
    assert found.damage == []
    assert (found.first_index, found.last_index, found.last_term, found.commit_hint) == (1, 40, 3, 39)
    assert len(found.segments) > 3
    assert {one.state for one in found.segments[:-1]} == {"sealed"} and found.segments[-1].state == "open"
    assert [one.last_index + 1 for one in found.segments[:-1]] == [one.first_index for one in found.segments[1:]]
    assert [(one.index, one.state) for one in found.snapshots] == [(10, "good"), (20, "good")]
    assert found.hard_state == {f"hardstate.{n}": {"term": 3, "voted_for": "a"} for n in (0, 1)}
    assert (found.configuration, found.configuration_index) == (SERVERS, 1)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_torn_tail_is_no_damage(directory: str) -> None:
    last = sorted(Path(directory, "log").glob("*.log"))[-1]
    flip(last, look(directory).segments[-1].used - 3)
    found = look(directory)
    assert (found.damage, found.last_index, found.segments[-1].state) == ([], 39, "torn")
    assert found.torn_bytes > 0


def test_damage_is_shown_and_named(directory: str) -> None:
    first = sorted(Path(directory, "log").glob("*.log"))[0]
    flip(first, 200)
    flip(Path(directory, "hardstate.0"), 20)
    found = look(directory)
    assert len(found.damage) == 1 and first.name in found.damage[0] and "inspect" in found.damage[0]
    assert found.segments[0].state.startswith("damaged") and found.segments[1].state == "sealed"
    assert found.hard_state["hardstate.0"] is None, "one slot is enough"
    flip(Path(directory, "hardstate.1"), 20)
    assert len(look(directory).damage) == 2


def test_a_damaged_snapshot_is_shown_and_the_older_one_serves(directory: str) -> None:
    flip(Path(directory, "snapshots/2-20.snap"), 1)
    found = look(directory)
    assert found.damage == [] and [one.state[:7] for one in found.snapshots] == ["good", "damaged"]


def test_a_missing_segment_and_a_missing_cluster_are_shown(directory: str) -> None:
    sorted(Path(directory, "log").glob("*.log"))[1].unlink()
    Path(directory, "cluster.json").unlink()
    found = look(directory)
    assert found.cluster == cluster_id(SERVERS).hex(), "the segments name it, too"
    assert len(found.damage) == 2
    assert "cluster.json is missing" in found.damage[0]


def test_nothing_is_nothing(tmp_path: Path) -> None:
    found = look(str(tmp_path))
    assert (found.last_index, found.segments, found.damage) == (0, [], [])
