"""Every crash at every call of small scripts leaves what is durable, nothing that never was, and a log that goes on."""

from __future__ import annotations

import pytest

from tests.server.raft.storage.journal_script import Log, Step, allowed, crashes, found, opened, run, start
from yurt.server.raft.storage.journal import Journal
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk


def add(n: int = 1, size: int = 20, term: int = 1) -> Step:
    return Step("append", n=n, size=size, term=term)


BIG = add(2, 120)  # two of them do not fit into a segment
SCRIPTS = {
    "appends": [[add()], [add(2), add()], [add(1, 150)]],
    "rotation": [[add(2, 100)], [add(2, 100)], [add(1, 100), add(1, 10)], [add(3, 90)]],
    "large entry": [[add()], [add(1, 900)], [add()]],
    "cut in a batch": [[add(3)], [Step("cut", 2)], [add(2, 30, 2)]],
    "cut and append at once": [[add(3)], [Step("cut", 2), add(2, 30, 2)], [add()]],
    "cut over segments": [[BIG], [BIG], [BIG], [Step("cut", 2), add(1, 20, 2)], [add(1, 20, 2)]],
    "cut to a segment's start": [[BIG], [BIG], [Step("cut", 3)], [add(1, 900, 2)], [Step("drop", 2)], [add()]],
    "cut everything": [[BIG], [BIG], [Step("cut", 1)], [add(1, 20, 2)]],
    "drop": [[BIG], [BIG], [BIG], [Step("drop", 4)], [add()]],
    "drop in parts": [[BIG], [BIG], [BIG], [Step("drop", 3)], [Step("drop", 5), add()]],
    "reset": [[BIG], [BIG], [Step("reset", 9, term=3)], [add(1, 20, 3)], [add(1, 20, 3)]],
    "reset and append at once": [[add(2)], [Step("reset", 9, term=3), add(1, 20, 3)]],
    "cut everything, large entry": [
        [add(3)], [Step("cut", 1)], [add(1, 900, 2)], [add()], [Step("drop", 1)], [add(1, 20, 2)],
    ],
    "reset of a reset": [[add()], [Step("reset", 9, term=3)], [Step("reset", 12, term=3)]],
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_leaves_its_log(name: str) -> None:
    disk = SimulatedDisk()
    logs, durable = run(disk, SCRIPTS[name])
    assert durable == len(logs) - 1
    got = found(opened(SimulatedDisk.holding(disk.durable())))
    assert allowed(got, logs, durable), got


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_crash_leaves_what_is_durable(name: str) -> None:
    for call, logs, durable, disk in crashes(SCRIPTS[name]):
        journal = opened(disk)
        got = found(journal)
        assert allowed(got, logs, durable), (call, got, logs[durable:])
        check_that_it_goes_on(disk, journal, got)


def check_that_it_goes_on(disk: SimulatedDisk, journal: Journal, got: Log) -> None:
    """What is appended after a recovery is found again together with what was recovered, also after a proper stop."""
    step = Step("append", n=1, size=1, term=9)
    journal.perform([start(journal, got, step)])
    assert found(opened(SimulatedDisk.holding(disk.durable()))) == got.after(step)
    journal.finish()
    again = opened(SimulatedDisk.holding(disk.durable()))
    assert found(again) == got.after(step)
    assert again.torn_bytes == 0


@pytest.mark.parametrize("name", ["cut and append at once", "reset and append at once", "rotation"])
def test_every_crash_in_a_recovery_is_recovered_from(name: str) -> None:
    for _, logs, durable, disk in crashes(SCRIPTS[name], sector=256):
        files = {path: bytes(inode.live) for path, inode in disk.seen.items()}
        for call in range(1, 8):
            again = SimulatedDisk.holding(files, sector=256)
            again.crash_at = call
            try:
                opened(again)
                break
            except Crash:
                for after in again.crash_states():
                    assert allowed(found(opened(after)), logs, durable), call
