"""The ring of events: how much it holds, and what it takes back after it began anew, whatever happens meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.fsm import commands as c
from yurt.fsm.events import Entry, EventRing
from yurt.fsm.store import schema
from yurt.fsm.store.changes import Change
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import NodePool

JOB = c.RegisterJob(job=Job(id="any"), eval_id="any")  # of a command only its type counts here
POOL = c.UpsertNodePool(pool=NodePool(name="gpu"))
SILENT = c.ReconcileSummaries()


def do(ring: EventRing, index: int, command: c.Command) -> None:
    """A command at an index: one of a job tells two lines, one of a pool one."""
    job, evaluation = Job(id=f"j{index}"), Evaluation(id=f"e{index}", job_id=f"j{index}")
    changes = [Change(schema.JOBS, "", None, job), Change(schema.EVALUATIONS, "", None, evaluation)]
    if command is POOL:
        changes = [Change(schema.NODE_POOLS, "", None, NodePool(name=f"p{index}"))]
    ring.add(command, index, changes)


def parts_of(index: int, command: c.Command) -> list[str]:
    if command is SILENT:
        return []
    return [f"p{index}"] if command is POOL else [f"j{index}", f"e{index}"]


def keys_of(entries: Iterable[Entry]) -> list[str]:
    return [event.key for entry in entries for event in entry.events]


def read(ring: EventRing, number: int) -> list[str]:
    return keys_of(entry for _, entry in ring.after(number))


def grown(size: int, first: int, last: int, command: c.Command = JOB) -> EventRing:
    """A ring that saw the commands of some indexes."""
    ring = EventRing(size)
    if first > 2:
        ring.begin_at(first - 1)
    for index in range(first, last + 1):
        do(ring, index, command)
    return ring


@pytest.mark.parametrize("size", [1, 3, 10])
def test_size_counts_commands_that_tell_something(size: int) -> None:
    ring = EventRing(size)
    for index in range(2, 32, 3):
        for at, command in enumerate((JOB, SILENT, POOL)):
            do(ring, index + at, command)
    held = sorted({entry.index for entry in ring.held()})
    telling = [index for index in range(2, 32) if (index - 2) % 3 != 1]
    assert held == telling[-size:] and ring.gone == telling[-size - 1]
    assert keys_of(ring.held())[-3:] == ["j29", "e29", "p31"][-len(ring.held()) :]


def entries(first: int, last: int) -> list[Entry]:
    return grown(100, first, last).held()


@pytest.mark.parametrize(
    ("what", "gone", "upto"),
    [
        (entries(11, 20), 10, 19),  # ends before what is held, or after it
        (entries(11, 21), 10, 20),
        (entries(11, 20), 10, 21),
        (entries(11, 20), 11, 20),  # begins before it says
        (entries(11, 20)[::-1], 10, 20),
        ([*entries(11, 15), *entries(14, 20)], 10, 20),
        ([], 20, 20),  # nothing
        ([], 25, 20),
    ],
)
def test_what_does_not_fit_changes_nothing(what: list[Entry], gone: int, upto: int) -> None:
    ring = grown(100, 21, 25)
    before = keys_of(ring.held())
    assert not ring.refill(what, gone, upto)
    assert (ring.gone, keys_of(ring.held()), ring.is_whole) == (20, before, False)


def test_what_fits_comes_before_what_was_added_meanwhile() -> None:
    ring = grown(100, 21, 25)
    number = ring.number_following(22)
    assert ring.refill(entries(11, 20), 10, 20)
    assert (ring.gone, ring.is_whole) == (10, False)
    assert keys_of(ring.held()) == keys_of(entries(11, 25))
    assert read(ring, number) == keys_of(entries(23, 25)), "a reader goes on where it was"
    assert read(ring, ring.number_following(17)) == keys_of(entries(18, 25))
    with pytest.raises(LookupError):
        ring.number_following(9)
    assert ring.refill([], 0, 10) and ring.gone == 0 and ring.is_whole, "nothing was told before the 11th"


@pytest.mark.parametrize("size", [5, 6, 12, 14, 15])
def test_a_ring_that_took_back_holds_what_one_holds_that_saw_all(size: int) -> None:
    whole, ring = grown(size, 2, 25), grown(size, 21, 25)
    ring.refill(entries(11, 20), 10, 20)
    ring.refill(entries(2, 10), 0, ring.gone)
    assert (keys_of(ring.held()), ring.gone, ring.is_whole) == (keys_of(whole.held()), whole.gone, True)


def test_a_ring_that_dropped_something_takes_nothing_back() -> None:
    ring = grown(5, 21, 26)
    assert ring.is_whole and not ring.refill(entries(11, 20), 10, 20)


def test_a_reader_of_before_never_takes_old_events_for_new_ones() -> None:
    ring = grown(100, 2, 10)
    number = ring.next_number
    ring.begin_at(20)
    assert ring.refill(entries(2, 20), 0, 20)
    with pytest.raises(LookupError):
        list(ring.after(number))


def test_a_restored_state_takes_back_nothing_of_before() -> None:
    ring = grown(100, 21, 25)
    ring.begin_at(26)
    assert not ring.refill(entries(11, 20), 10, 20)
    assert ring.held() == [] and ring.gone == 26


def test_events_are_made_by_two_threads_at_once() -> None:
    found: list[list[str]] = []

    def encode(ring: EventRing) -> None:
        found.append(keys_of(ring.held()))

    for _ in range(20):
        ring = grown(1000, 2, 100)
        threads = [threading.Thread(target=encode, args=(ring,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found[-2] == found[-1] == keys_of(ring.held()) and len(found[-1]) == 2 * 99


STEPS = st.lists(
    st.tuples(st.sampled_from(["job", "pool", "silent", "install", "page", "read", "join", "restore"]), st.integers(0, 12)),
    max_size=60,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(size=st.integers(1, 12), steps=STEPS)
def test_no_reader_ever_misses_or_repeats_something(size: int, steps: list[tuple[str, int]]) -> None:
    """A ring beside the whole history: after each step it holds the end of it, and a reader is told all or an end."""
    ring, history, index, broken_at = EventRing(size), list[tuple[int, c.Command]](), 1, 0
    readers: list[tuple[int, int]] = []  # number, and the index up to which it was told

    def told(after: int, upto: int = 1 << 62) -> list[str]:
        return [key for at, command in history if after < at <= upto for key in parts_of(at, command)]

    def telling() -> list[int]:
        return [at for at, command in history if command is not SILENT and at > broken_at]

    for kind, count in steps:
        if kind in ("job", "pool", "silent"):
            index += 1
            command: Any = {"job": JOB, "pool": POOL, "silent": SILENT}[kind]
            history.append((index, command))
            do(ring, index, command)
        elif kind == "install":  # of a snapshot: commands that were seen by others only
            for _ in range(count):
                index += 1
                history.append((index, (JOB, POOL, SILENT)[index % 3]))
            ring.begin_at(index)
        elif kind == "restore":
            index = broken_at = index + 1
            ring.begin_at(index)
        elif kind == "page":
            upto, fits = ring.gone, not ring.is_whole
            before = [at for at in telling() if at <= upto]
            gone = before[-count - 1] if len(before) > count else broken_at
            page = EventRing(1000)
            for at, one in history:
                if gone < at <= upto:
                    do(page, at, one)
            assert ring.refill(page.held(), gone, upto) == (fits and gone < upto)
        elif kind == "join" and ring.gone <= index - count:
            readers.append((ring.number_following(index - count), index - count))
        elif kind == "read":
            left = []
            for number, after in readers:
                try:
                    ready = list(ring.after(number))
                except LookupError:
                    continue  # it has to begin anew
                assert [key for _, entry in ready for key in keys_of([entry])] == told(after)
                left.append((ready[-1][0] if ready else number, index))
            readers = left
        assert keys_of(ring.held()) == told(ring.gone)
        assert ring.gone >= broken_at and len({entry.index for entry in ring.held()}) <= size
        if ring.is_whole:
            newest = telling()
            assert ring.gone == (newest[-size - 1] if len(newest) > size else 0)
