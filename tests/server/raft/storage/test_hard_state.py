"""Term and vote survive every crash and every rotten byte, or the server does not start."""

from __future__ import annotations

import errno

import pytest

from yurt.server.raft.errors import Corrupt, DiskFailed
from yurt.server.raft.storage.hard_state import SLOTS, HardState, HardStateFile
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk

DIRECTORY = "/data/raft"
HISTORY = [HardState(1), HardState(1, "a"), HardState(7, "b" * 36), HardState(7, "c")]


def loaded(disk: SimulatedDisk) -> HardState | None:
    return HardStateFile(disk, DIRECTORY).load()


def saved(disk: SimulatedDisk) -> int:
    """Store the history; return how many of its states are durable for sure."""
    file, done = HardStateFile(disk, DIRECTORY), 0
    try:
        for state in HISTORY:
            file.save(state)
            done += 1
    except (Crash, DiskFailed):
        pass
    return done


def test_what_is_saved_is_loaded() -> None:
    disk = SimulatedDisk()
    assert loaded(disk) is None
    assert saved(disk) == len(HISTORY)
    assert loaded(SimulatedDisk.holding(disk.durable())) == HISTORY[-1]


@pytest.mark.parametrize("fault", [None, errno.EIO, errno.ENOSPC])
def test_every_crash_and_failure_leaves_the_saved_state_or_the_next(fault: int | None) -> None:
    for call in range(1, 100):
        disk = SimulatedDisk(sector=8)
        if fault is None:
            disk.crash_at = call
        else:
            disk.fail_at[call] = fault
        done = saved(disk)
        if disk.calls < call:
            return
        for after in disk.crash_states():
            assert loaded(after) in [None, *HISTORY][done : done + 2], call
    raise AssertionError("the history has fewer calls")


def test_one_rotten_slot_costs_nothing_and_two_are_refused() -> None:
    disk = SimulatedDisk()
    saved(disk)
    files = disk.durable()
    paths = [f"{DIRECTORY}/{name}" for name in SLOTS]
    used = len(files[paths[0]].rstrip(b"\0"))
    for at in range(used):
        damaged = bytearray(files[paths[0]])
        damaged[at] ^= 4
        for path in paths:
            after = SimulatedDisk.holding({**files, path: bytes(damaged)})
            assert loaded(after) == HISTORY[-1]
            assert after.durable() != {**files, path: bytes(damaged)}, "both slots are good again"
        with pytest.raises(Corrupt):
            loaded(SimulatedDisk.holding(dict.fromkeys(paths, bytes(damaged))))


def test_a_crash_between_the_slots_and_a_rotten_slot_later_forget_no_vote_that_was_used() -> None:
    disk = SimulatedDisk()
    saved(disk)
    old = disk.durable()
    HardStateFile(disk, DIRECTORY).load()
    file = HardStateFile(disk, DIRECTORY)
    file.load()
    disk.crash_at = disk.calls + 3  # the first slot is written and synced, the second not begun
    with pytest.raises(Crash):
        file.save(HardState(9, "z"))
    after = SimulatedDisk.holding(disk.durable())
    assert loaded(after) == HardState(9, "z")
    for name in SLOTS:
        path = f"{DIRECTORY}/{name}"
        rotten = SimulatedDisk.holding({**after.durable(), path: bytes(len(old[path]))})
        assert loaded(rotten) == HardState(9, "z")


def test_a_missing_file_is_refused_when_there_must_be_one() -> None:
    with pytest.raises(Corrupt):
        HardStateFile(SimulatedDisk(), DIRECTORY).load(required=True)


def test_a_vote_needs_no_space() -> None:
    disk = SimulatedDisk()
    saved(disk)
    disk.capacity = disk.used()
    file = HardStateFile(disk, DIRECTORY)
    file.load()
    file.save(HardState(8, "d"))
    assert loaded(disk) == HardState(8, "d")
