"""The real disk does what the simulated one says."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from yurt.server.raft.storage.disk import RealDisk
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.storage.journal import Journal
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore

CLUSTER = bytes(range(16))


@pytest.mark.parametrize("sync", [True, False])
def test_storage_works_on_real_files(tmp_path: Path, sync: bool) -> None:
    disk, directory = RealDisk(sync=sync), f"{tmp_path}/data/journal"
    journal = Journal(disk, directory, CLUSTER, segment_bytes=8192)
    journal.open()
    for index in range(1, 60):
        journal.perform([journal.append([(b"x" * 500, index, 1)], commit_hint=index - 1)])
    journal.perform([journal.cut(40), journal.append([(b"y", 40, 2)]), journal.drop(20)])
    journal.finish()
    again = Journal(disk, directory, CLUSTER, segment_bytes=8192)
    again.open()
    assert again.last_index == 40 and again.at(40) == (b"y", 40, 2) and again.first_index <= 21
    assert again.commit_hint == 40

    state = HardStateFile(disk, f"{tmp_path}/data")
    state.save(HardState(3, "a"))
    assert HardStateFile(disk, f"{tmp_path}/data").load() == HardState(3, "a")

    snapshots = SnapshotStore(disk, f"{tmp_path}/data/snapshots", CLUSTER)
    snapshots.open()
    writer = snapshots.begin(Snapshot(20, 1, []))
    writer.write(b"state")
    assert b"".join(snapshots.body(writer.finish())) == b"state"


def test_files_are_for_the_owner_and_take_their_space_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    disk = RealDisk()
    disk.make_directory(str(directory))
    file = disk.create(str(directory / "file"))
    file.preallocate(1 << 16)
    found = (directory / "file").stat()
    assert (found.st_size, found.st_blocks * 512 >= 1 << 16) == (1 << 16, True)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    file.truncate(3)
    file.write(1, b"ab")
    file.sync()
    file.close()
    assert disk.read(str(directory / "file")) == b"\0ab"
    assert disk.read(str(directory / "file"), 1, 1) == b"a"
    assert disk.list(str(directory)) == ["file"]
