"""What a start has read is durable before it counts: the process before may have ended between a write and its sync."""

from __future__ import annotations

import contextlib
import errno

import pytest

from tests.server.raft.storage.journal_script import found, opened, run
from tests.server.raft.storage.test_journal_crash import SCRIPTS
from yurt.server.raft.errors import DiskFailed
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk


@pytest.mark.parametrize("fails", [False, True], ids=["killed", "failed"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_log_that_was_read_survives_a_crash(name: str, fails: bool) -> None:
    call = 0
    while True:
        call += 1
        disk = SimulatedDisk()
        if fails:
            disk.fail_at[call] = errno.EIO  # a failed sync forgets, and the next one does not say so
        else:
            disk.crash_at = call
        with contextlib.suppress(DiskFailed):
            run(disk, SCRIPTS[name])
        if disk.calls < call:
            return
        disk.crash_at, disk.fail_at = None, {}
        got = found(opened(disk))  # the machine goes on, the next process sees everything written
        assert found(opened(SimulatedDisk.holding(disk.durable()))) == got, call


def test_the_name_of_a_snapshot_that_was_read_survives_a_crash() -> None:
    disk = SimulatedDisk()
    store = SnapshotStore(disk, "snap")
    store.open()
    writer = store.begin(Snapshot(7, 2, []))
    writer.write(b"body")
    calls = disk.calls
    disk.crash_at = calls + 4  # written, synced, renamed; the directory is not synced
    with pytest.raises(Crash):
        writer.finish()
    disk.crash_at = None
    again = SnapshotStore(disk, "snap")
    again.open()
    newest = again.newest()
    assert newest is not None and newest.index == 7
    after = SnapshotStore(SimulatedDisk.holding(disk.durable()), "snap")
    after.open()
    assert after.newest() == newest
