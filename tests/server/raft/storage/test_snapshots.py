"""Snapshots are published whole or not at all, never by an older one, and a rotten byte is never loaded."""

from __future__ import annotations

import errno

import pytest

from yurt.server.raft.errors import Corrupt, DiskFailed, StorageFull
from yurt.server.raft.storage.snapshots import Snapshot, SnapshotStore
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk

DIRECTORY = "/data/snapshots"
SERVERS = [["id", "address", "voter"]]


def store(disk: SimulatedDisk, cluster: bytes = b"c") -> SnapshotStore:
    opened = SnapshotStore(disk, DIRECTORY, cluster)
    opened.open()
    return opened


def write(into: SnapshotStore, index: int, term: int = 1, body: bytes = b"") -> Snapshot:
    writer = into.begin(Snapshot(index, term, SERVERS, configuration_index=1))
    for chunk in (b"state at %d " % index, body):
        writer.write(chunk)
    return writer.finish()


def names(disk: SimulatedDisk) -> list[str]:
    return disk.list(DIRECTORY)


def test_two_are_kept_and_an_older_one_replaces_nothing() -> None:
    disk = SimulatedDisk()
    snapshots = store(disk)
    assert (snapshots.newest(), snapshots.kept_index()) == (None, 0)
    for index in (10, 20, 30):
        assert write(snapshots, index).index == index
    assert write(snapshots, 25).index == 30
    again = store(SimulatedDisk.holding(disk.durable()))
    newest = again.newest()
    assert newest is not None
    assert (newest.index, newest.configuration, newest.configuration_index) == (30, SERVERS, 1)
    assert b"".join(again.body(newest)) == b"state at 30 "
    assert again.kept_index() == 20
    assert names(disk) == ["1-20.snap", "1-30.snap"]


def test_one_being_sent_is_kept() -> None:
    disk = SimulatedDisk()
    snapshots = store(disk)
    sent = write(snapshots, 10)
    snapshots.pin(sent)
    write(snapshots, 20)
    write(snapshots, 30)
    assert "1-10.snap" in names(disk)
    assert snapshots.kept_index() == 20
    snapshots.unpin(sent)
    write(snapshots, 40)
    assert names(disk) == ["1-30.snap", "1-40.snap"]


def test_every_crash_and_failure_leaves_the_older_or_the_newer_one() -> None:
    for code in (None, errno.EIO, errno.ENOSPC):
        for call in range(1, 200):
            disk = SimulatedDisk(sector=32)
            snapshots = store(disk)
            if code is None:
                disk.crash_at = disk.calls + call
            else:
                disk.fail_at[disk.calls + call] = code
            first = disk.calls
            done = [0]
            try:
                for index in (10, 20, 30):
                    done.append(write(snapshots, index).index)
            except (Crash, DiskFailed, StorageFull):
                pass
            if disk.calls < first + call:
                break
            for after in disk.crash_states():
                newest = store(after).newest()
                assert (newest.index if newest else 0) in (done[-1], done[-1] + 10), (code, call)
                assert not [name for name in names(after) if name.endswith(".tmp")]


def test_every_rotten_byte_falls_back_to_the_previous_one() -> None:
    disk = SimulatedDisk()
    snapshots = store(disk)
    write(snapshots, 10)
    newest = write(snapshots, 20, body=b"x" * 50)
    files = disk.durable()
    path = snapshots.path(newest)
    for at in range(len(files[path])):
        for damaged in (files[path][:at], files[path][:at] + bytes([files[path][at] ^ 16]) + files[path][at + 1 :]):
            again = store(SimulatedDisk.holding({**files, path: damaged}))
            found = again.newest()
            assert found is not None and found.index == 10, at
            assert len(again.damaged) == 1 and path in again.damaged[0]
            assert again.kept_index() == 0, "a damaged one does not let the log go"


def test_a_damaged_one_goes_when_two_good_ones_are_there() -> None:
    disk = SimulatedDisk()
    write(store(disk), 10)
    write(store(disk), 20)
    disk.open(f"{DIRECTORY}/1-20.snap").write(0, b"X")
    snapshots = store(disk)
    write(snapshots, 30)
    assert names(disk) == ["1-10.snap", "1-30.snap"]


def test_a_body_that_rots_after_the_start_is_told_at_its_end() -> None:
    disk = SimulatedDisk()
    snapshots = store(disk)
    newest = write(snapshots, 10)
    disk.open(snapshots.path(newest)).write(0, b"X")
    with pytest.raises(Corrupt):
        list(snapshots.body(newest))


def test_a_full_disk_costs_the_snapshot_only() -> None:
    disk = SimulatedDisk()
    snapshots = store(disk)
    write(snapshots, 10)
    disk.capacity = disk.used() + 20
    with pytest.raises(StorageFull):
        write(snapshots, 20, body=bytes(100))
    assert names(disk) == ["1-10.snap"]
    disk.capacity = None
    assert write(snapshots, 20).index == 20


def test_a_peer_receives_it_in_chunks() -> None:
    source = store(SimulatedDisk())
    sent = write(source, 10, term=3, body=bytes(range(100)))
    size = source.file_bytes(sent)
    target_disk = SimulatedDisk()
    target = store(target_disk)
    receiver = target.receive(Snapshot(sent.index, sent.term, [], crc=sent.crc), size)
    assert receiver.chunk(50, b"too early") == 0
    offset = 0
    while offset < size:
        chunk = source.chunk(sent, offset, 30)
        assert receiver.chunk(offset, chunk) == offset + len(chunk)
        assert receiver.chunk(offset, chunk) == offset + len(chunk), "a repeated one is taken once"
        offset += len(chunk)
    assert receiver.finish() == sent
    assert store(SimulatedDisk.holding(target_disk.durable())).newest() == sent


@pytest.mark.parametrize("damage", ["short", "flipped", "another", "foreign"])
def test_a_received_one_that_is_not_the_announced_one_is_refused(damage: str) -> None:
    source = store(SimulatedDisk(), b"other" if damage == "foreign" else b"c")
    sent = write(source, 10, body=bytes(100))
    data = source.chunk(sent, 0)
    announced = Snapshot(10, 1, [], crc=sent.crc)
    if damage == "short":
        data = data[:-1]
    elif damage == "flipped":
        data = b"X" + data[1:]
    elif damage == "another":
        announced = Snapshot(11, 1, [], crc=sent.crc)
    disk = SimulatedDisk()
    target = store(disk)
    receiver = target.receive(announced, source.file_bytes(sent))
    receiver.chunk(0, data)
    with pytest.raises(Corrupt):
        receiver.finish()
    assert names(disk) == []


def test_foreign_names_are_left_alone() -> None:
    disk = SimulatedDisk.holding({f"{DIRECTORY}/notes.txt": b"mine", f"{DIRECTORY}/x-y.snap": b"odd"})
    snapshots = store(disk)
    for index in (10, 20, 30):
        write(snapshots, index)
    assert {"notes.txt", "x-y.snap"} < set(names(disk))
