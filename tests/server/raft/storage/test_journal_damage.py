"""Bytes that rot, files that vanish, calls that fail: refused or repaired as a torn tail, never applied."""

from __future__ import annotations

import errno
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.raft.storage.journal_script import DIRECTORY, Log, Step, allowed, found, opened, payload, run, start
from yurt.server.raft.errors import Corrupt, DiskFailed
from yurt.server.raft.storage.journal import Journal
from yurt.server.raft.storage.records import RECORD_HEADER_BYTES
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk

SCRIPT = [[Step("append", n=n, size=60)] for n in (1, 2, 1, 3, 2, 1)]
MIXED = [
    [Step("append", n=3, size=60)],
    [Step("append", n=3, size=60)],
    [Step("cut", 3), Step("append", n=2, size=200, term=2)],
    [Step("drop", 2)],
    [Step("reset", 9, term=3), Step("append", n=2, size=200, term=3)],
]


def written(*, proper_stop: bool) -> tuple[dict[str, bytes], Log, int]:
    """Files of a journal of several segments, its log, and the last index before the last batch."""
    disk = SimulatedDisk()
    logs, _ = run(disk, SCRIPT)
    if proper_stop:
        opened(disk).finish()
    return disk.durable(), logs[-1], logs[-2].last


def outcome(files: dict[str, bytes]) -> Log | None:
    """What opens, None if it is refused."""
    try:
        return found(opened(SimulatedDisk.holding(files)))
    except Corrupt:
        return None


@pytest.mark.parametrize("proper_stop", [False, True])
def test_a_flipped_bit_costs_at_most_the_last_batch_and_nothing_after_a_proper_stop(proper_stop: bool) -> None:
    files, log, sure = written(proper_stop=proper_stop)
    chance = random.Random(1)
    assert sum(name.endswith(".log") for name in files) >= 3
    for name, contents in files.items():
        for at in range(len(contents)):
            damaged = bytearray(contents)
            damaged[at] ^= 1 << chance.randrange(8)
            got = outcome({**files, name: bytes(damaged)})
            if got is not None:
                assert got.base == 0 and got.entries == log.entries[: got.last], (name, at)
                assert got.last >= (log.last if proper_stop else sure), (name, at)


def test_zeroed_and_cut_ranges_are_told_from_torn_tails() -> None:
    files, log, sure = written(proper_stop=False)
    chance = random.Random(2)
    for _ in range(1500):
        name = chance.choice(sorted(files))
        contents = bytearray(files[name])
        start_at = chance.randrange(len(contents) + 1)
        length = chance.choice((1, 8, 64, 512))
        contents[start_at : start_at + length] = bytes(min(length, len(contents) - start_at))
        got = outcome({**files, name: bytes(contents)})
        if got is not None:
            assert got.entries == log.entries[: got.last] and got.last >= sure


def test_a_missing_segment_is_noticed() -> None:
    files, _, _ = written(proper_stop=False)
    segments = sorted(name for name in files if name.endswith(".log"))
    for name in segments[1:]:
        assert outcome({other: files[other] for other in files if other != name}) is None, name
    assert outcome({other: files[other] for other in files if other not in segments}) is None
    got = outcome({other: files[other] for other in files if other != segments[0]})
    assert got is not None and got.base > 0  # as after compaction: the snapshot decides (recovery)


def test_segments_do_not_change_places_or_clusters() -> None:
    files, _, _ = written(proper_stop=False)
    first, second = sorted(name for name in files if name.endswith(".log"))[:2]
    assert outcome({**files, first: files[second], second: files[first]}) is None
    with pytest.raises(Corrupt, match=f"{DIRECTORY}.*another cluster"):
        Journal(SimulatedDisk.holding(files), DIRECTORY, bytes(16)).open()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_every_call_may_fail_once(code: int) -> None:
    """Either it is foreseen and nothing is lost, or the journal refuses all further work; the disk stays good."""
    call = 0
    while True:
        call += 1
        disk = SimulatedDisk()
        disk.fail_at[call] = code
        logs, durable = [Log()], 0
        journal = None
        try:
            journal = opened(disk)
            for batch in MIXED:
                operations = []
                for step in batch:
                    operations.append(start(journal, logs[-1], step))
                    logs.append(logs[-1].after(step))
                done = journal.perform(operations)
                if done < len(operations):
                    assert code != errno.EIO and not journal.writable
                    assert journal.perform(operations[done:]) == len(operations) - done, "there is room again"
                durable = len(logs) - 1
        except DiskFailed:
            if journal is not None:
                with pytest.raises(DiskFailed):
                    journal.perform([])
        else:
            assert durable == len(logs) - 1
        if disk.calls < call:
            return
        for after in disk.crash_states():
            assert allowed(found(opened(after)), logs, durable), call


def test_a_full_disk_is_foreseen_and_ends() -> None:
    disk = SimulatedDisk()
    journal, log = opened(disk), Log()
    disk.capacity = 1250  # the first segment, its spare, part of a third one
    step = Step("append", n=1, size=60)
    while journal.writable:
        journal.perform([start(journal, log, step)])
        log = log.after(step)
    journal.perform([start(journal, log, step)])  # there is room for what was accepted before
    log = log.after(step)
    assert found(opened(SimulatedDisk.holding(disk.durable()))) == log
    disk.capacity = None
    journal.perform([])
    assert journal.writable


def test_entries_and_terms_are_read_from_memory() -> None:
    journal, log = opened(SimulatedDisk()), Log()
    for step in (Step("append", n=4, size=100), Step("append", n=2, size=100, term=2), Step("drop", 2)):
        journal.perform([start(journal, log, step)])
        log = log.after(step)
    assert (journal.first_index, journal.last_index) == (3, 6)
    assert [journal.term_at(index) for index in range(1, 8)] == [None, 1, 1, 1, 2, 2, None]
    assert journal.entries(3, 250) == [(payload(3, 1, 100), 3, 1), (payload(4, 1, 100), 4, 1)]
    assert len(journal.entries(3, 1)) == 1
    assert journal.commit_hint == 0


def test_the_commit_hint_never_falls_and_never_exceeds_the_log() -> None:
    disk = SimulatedDisk()
    journal = opened(disk, 4096)
    journal.perform([journal.append([(b"a", 1, 1), (b"b", 2, 1)], commit_hint=2)])
    assert opened(SimulatedDisk.holding(disk.durable())).commit_hint == 2
    journal.perform([journal.append([(b"c", 3, 1)], commit_hint=0)])
    assert opened(SimulatedDisk.holding(disk.durable())).commit_hint == 2
    journal.perform([journal.append([(b"d", 4, 1)], commit_hint=9)])
    assert opened(SimulatedDisk.holding(disk.durable())).commit_hint == 4
    journal.perform([journal.cut(4), journal.append([(b"e", 4, 2)], commit_hint=0)])
    assert opened(SimulatedDisk.holding(disk.durable())).commit_hint == 4


def test_nothing_may_follow_the_mark_of_a_proper_stop() -> None:
    files, _, _ = written(proper_stop=True)
    name = max(name for name in files if name.endswith(".log"))
    assert files[name].endswith(bytes(2)), "there is room after the mark"
    assert outcome({**files, name: files[name][:-1] + b"x"}) is None


def test_records_of_another_history_do_not_join_in_the_middle_of_a_batch() -> None:
    """The same second record after another first one: only the chain tells."""
    contents = []
    for first in (b"one", b"two"):
        disk = SimulatedDisk()
        journal = opened(disk)
        journal.perform([journal.append([(first, 1, 1), (b"same", 2, 1)])])
        contents.append(disk.durable())
    name = next(name for name in contents[0] if name.endswith(".log"))
    second = contents[0][name].index(b"same") - RECORD_HEADER_BYTES
    got = outcome({**contents[0], name: contents[1][name][:second] + contents[0][name][second:]})
    assert got == Log(0, ((b"two", 1, 1),))


KINDS = st.sampled_from(("append", "append", "append", "cut", "drop", "reset"))
STEPS = st.lists(st.lists(st.tuples(KINDS, st.integers(0, 300)), max_size=3), max_size=12)


def legal(log: Log, kind: str, number: int, floor: int) -> Step | None:
    """A step of that kind that an engine may ask for."""
    term = 1 + number // 60
    if kind == "append":
        return Step("append", n=1 + number % 4, size=number, term=term)
    if kind == "cut":
        index = log.last - number % 6
        return Step("cut", index) if index > max(log.base, floor) else None
    if kind == "drop":
        return Step("drop", log.last - number % 6)
    last_term = log.entries[-1][2] if log.entries else 0
    return Step("reset", log.last + 1 + number % 5, term=max(term, last_term))


@settings(max_examples=300, deadline=None)
@given(script=STEPS, seed=st.integers(0, 1 << 30), crash_after=st.integers(1, 120))
def test_a_random_history_with_a_crash_keeps_what_is_durable(script, seed: int, crash_after: int) -> None:
    disk, chance = SimulatedDisk(sector=64), random.Random(seed)
    logs, durable = [Log()], 0
    term = 0
    disk.crash_at = crash_after
    try:
        journal = opened(disk)
        for batch in script:
            operations = []
            for kind, number in batch:
                step = legal(logs[-1], kind, number, 0)
                if step is None:
                    continue
                term = max(term, step.term)
                step = step._replace(term=term)
                operations.append(start(journal, logs[-1], step))
                logs.append(logs[-1].after(step))
            journal.perform(operations)
            durable = len(logs) - 1
    except Crash:
        pass
    for _ in range(3):
        disk.crash(chance)
        disk.crash_at = disk.calls + chance.randrange(1, 12)
        try:
            got = found(opened(disk))
        except Crash:
            continue
        assert allowed(got, logs, durable)
