"""The checker: histories that one copy could have given pass, doctored ones of every kind do not."""

from __future__ import annotations

import itertools
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.server.testing import history
from yurt.server.testing.checker import check
from yurt.server.testing.history import (
    ALLOCATIONS,
    CAS,
    CHILDREN,
    CONFLICT,
    CONVERGE,
    DELETE,
    DISPATCH,
    FAIL,
    OK,
    READ,
    STALE,
    UNKNOWN,
    WATCH,
    WRITE,
    Event,
    Recorder,
    Window,
    from_line,
    in_order,
)


def event(kind: str, began: float, ended: float, value: object = None, **fields: object) -> Event:
    return Event("web", kind, began, ended, value=value, **fields)  # type: ignore[arg-type]


def cas(began: float, ended: float, expected: object, value: object, result: str = OK, **fields: object) -> Event:
    return event(CAS, began, ended, value, expected=expected, result=result, **fields)


GOOD = {
    "nothing": [],
    "absent at first": [event(READ, 0, 1, None)],
    "one after the other": [event(WRITE, 0, 1, "a"), event(READ, 2, 3, "a"), cas(4, 5, "a", "b"), event(READ, 6, 7, "b")],
    "a read beside a write sees either": [event(WRITE, 0, 9, "a"), event(READ, 1, 2, "a"), event(READ, 1, 3, None)],
    "an unknown write happened": [event(WRITE, 0, 1, "a", result=UNKNOWN), event(READ, 5, 6, "a")],
    "an unknown write never happened": [event(WRITE, 0, 1, "a", result=UNKNOWN), event(READ, 5, 6, None)],
    "an unknown write happened late": [
        cas(0, 1, None, "a"), cas(2, 3, "a", "b", UNKNOWN), event(READ, 4, 5, "a"), event(READ, 6, 7, "b"),
    ],
    "a conflict": [event(WRITE, 0, 1, "a"), cas(2, 3, "x", "b", CONFLICT), event(READ, 4, 5, "a")],
    "what surely failed says nothing": [event(WRITE, 0, 1, "a", result=FAIL), event(READ, 2, 3, None)],
    "a stale read is old": [
        cas(0, 1, None, "a", index=5), cas(2, 3, "a", "b", index=7), event(READ, 4, 5, "a", mode=STALE, index=5),
    ],
    "each dispatch has a child": [
        event(DISPATCH, 0, 1, "t1"), event(DISPATCH, 0, 1, "t2", result=UNKNOWN), event(CHILDREN, 2, 3, ("t1",)),
        event(CHILDREN, 4, 5, ("t1", "t2")),
    ],
    "a watch is told of all": [
        cas(0, 1, None, "a", index=5), event(WATCH, 2, 3, "a", index=5, expected=0, client=1),
        cas(4, 5, "a", "b", index=7), event(WATCH, 3, 5.5, "b", index=7, expected=5, client=1),
    ],
    "a watch that nothing happens to": [
        cas(0, 1, None, "a", index=5), event(WATCH, 2, 3, "a", index=5, client=1), event(WATCH, 4, 90, "a", index=5, expected=5, client=1),
    ],
    "different names run": [event(ALLOCATIONS, 0, 1, ("web[0]", "web[1]")), event(CONVERGE, 1, 2)],
    "a deletion": [event(WRITE, 0, 1, "a"), event(DELETE, 2, 3), event(READ, 4, 5, None), cas(6, 7, None, "b")],
}  # fmt: skip

BAD = {
    "phantom": [event(READ, 0, 1, "a")],
    "stale-read": [
        cas(0, 1, None, "a"), cas(2, 3, "a", "b"), event(READ, 4, 5, "b"), event(READ, 6, 7, "a"),
    ],
    "lost-write": [cas(0, 1, None, "a"), cas(2, 3, "a", "b"), event(READ, 4, 5, "a")],
    "doubled-write": [cas(0, 1, None, "a"), cas(2, 5, "a", "b"), cas(2, 5, "a", "c")],
    "index-regression": [
        cas(0, 1, None, "a", index=9), event(READ, 2, 3, "a", index=9), event(READ, 4, 5, "a", index=7),
    ],
    "index-regression of stale reads": [
        event(READ, 0, 1, None, mode=STALE, index=9, server="s1"), event(READ, 2, 3, None, mode=STALE, index=8, server="s1"),
    ],
    "lost-write of a dispatch": [event(DISPATCH, 0, 1, "t1"), event(CHILDREN, 2, 3, ())],
    "doubled-write of a dispatch": [event(DISPATCH, 0, 1, "t1", result=UNKNOWN), event(CHILDREN, 2, 3, ("t1", "t1"))],
    "phantom child": [event(CHILDREN, 2, 3, ("t1",))],
    "watch-miss: gone on behind it": [
        cas(0, 1, None, "a", index=5), event(WATCH, 2, 3, "a", index=5, client=1), cas(2, 4, "a", "b", index=7),
        event(WATCH, 3, 9, "b", index=7, expected=7, client=1),
    ],
    "watch-miss: slept over it": [
        cas(0, 1, None, "a", index=5), cas(2, 3, "a", "b", index=7), event(WATCH, 2, 9, "a", index=5, expected=5, client=1),
    ],
    "stale-read of a watch": [
        cas(0, 1, None, "a"), cas(2, 3, "a", "b"), event(READ, 4, 5, "b"), event(WATCH, 6, 7, "a", client=1),
    ],
    "doubled-allocation": [event(ALLOCATIONS, 0, 1, ("web[0]", "web[0]"))],
    "not-converged": [event(CONVERGE, 0, 1, result=FAIL)],
    "not-linearizable in the order of its indexes": [
        event(WRITE, 0, 5, "a", index=1), event(WRITE, 0, 5, "b", index=2), event(READ, 6, 7, "a"),
    ],
    "not-linearizable": [event(WRITE, 0, 1, "a"), event(WRITE, 2, 3, "b"), event(READ, 4, 5, "a")],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_one_copy_could_say(name: str) -> None:
    verdict = check(GOOD[name])
    assert verdict.is_linearizable is True, str(verdict)


@pytest.mark.parametrize("kind", BAD)
def test_what_it_could_not(kind: str) -> None:
    verdict = check(BAD[kind])
    assert verdict.is_linearizable is False
    assert [one.kind for one in verdict.violations][:1] == [kind.split()[0].rstrip(":")], str(verdict)


def test_a_conflict_that_should_have_won() -> None:
    history = [event(WRITE, 0, 1, "a"), cas(2, 3, "a", "b", CONFLICT), event(READ, 4, 5, "a")]
    assert check(history).is_linearizable is False


def test_a_search_that_is_given_up_says_so() -> None:
    history = [event(WRITE, 0, 99, number) for number in range(24)]
    history += [event(READ, 2 + number, 2.5 + number, number) for number in range(0, 24, 2)]
    verdict = check(history, steps_max=500)
    assert verdict.is_linearizable is None and verdict.undecided == ["web"]
    assert "undecided" in str(verdict)


def test_a_fault_excuses_what_it_delays() -> None:
    slept = BAD["watch-miss: slept over it"]
    assert check(slept, windows=[Window(4, 8, "pause", ("s1",))]).is_linearizable is True
    assert check(slept, windows=[Window(20, 25, "pause", ("s1",))]).is_linearizable is False
    forgot = BAD["index-regression of stale reads"]
    assert check(forgot, windows=[Window(1.2, 1.8, "kill", ("s1",))]).is_linearizable is True
    assert check(forgot, windows=[Window(1.2, 1.8, "kill", ("s2",))]).is_linearizable is False


def some_order_fits(events: list[Event]) -> bool:
    """The definition, by trying all orders of all choices of the operations with an unknown outcome."""
    known = [one for one in events if one.result != UNKNOWN]
    open_ones = [one for one in events if one.result == UNKNOWN and one.kind != READ]
    for count in range(len(open_ones) + 1):
        for chosen in itertools.combinations(open_ones, count):
            for order in itertools.permutations([*known, *chosen]):
                if _fits(order):
                    return True
    return False


def _fits(order: tuple[Event, ...]) -> bool:
    value: object = None
    for position, one in enumerate(order):
        if any(other.ended < one.began for other in order[position + 1 :] if other.result != UNKNOWN):
            return False
        if one.kind == READ:
            if one.value != value:
                return False
        elif one.kind == CAS:
            if (one.expected == value) == (one.result == CONFLICT):
                return False
            value = value if one.result == CONFLICT else one.value
        else:
            value = None if one.kind == DELETE else one.value
    return True


@st.composite
def short_histories(draw: st.DrawFn) -> list[Event]:
    events = []
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from((READ, READ, WRITE, CAS, DELETE)))
        began = draw(st.integers(0, 8))
        ended = began + draw(st.integers(0, 5))
        result = draw(st.sampled_from((OK, OK, OK, UNKNOWN) + ((CONFLICT,) if kind == CAS else ())))
        seen = draw(st.sampled_from((None, 0, 1, 2, 3)))
        value = seen if kind == READ else None if kind == DELETE else number
        events.append(Event("web", kind, began, ended, result, value, seen))
    return events


@given(short_histories())
@settings(max_examples=400, deadline=None)
def test_it_says_what_the_definition_says(events: list[Event]) -> None:
    assert check(events).is_linearizable is some_order_fits(events), str(check(events))


def long_history(operations: int) -> Iterator[Event]:
    """Ten jobs, a check-and-set and two reads in turn; now and then an answer is lost."""
    value: dict[int, int] = {}
    for number in range(operations):
        job = number % 10
        now = round(number / 1000, 3)
        if number // 10 % 3:
            yield Event(f"job-{job}", READ, now, round(now + 0.004, 3), OK, value.get(job))
        else:
            result = UNKNOWN if number % 1009 == 0 else OK
            yield Event(f"job-{job}", CAS, now, round(now + 0.004, 3), result, number, value.get(job))
            if result == OK:
                value[job] = number


def test_a_history_is_sorted_in_runs_and_not_held(tmp_path: Path) -> None:
    with_all = list(long_history(5000))
    shuffled = with_all[:]
    random.Random(1).shuffle(shuffled)
    assert list(in_order(shuffled, 700)) == with_all
    recorder = Recorder(tmp_path / "history.jsonl")
    for one in with_all:
        recorder.write(one)
    recorder.close()
    with (tmp_path / "history.jsonl").open("ab") as file:
        file.write(b'{"op": "rea')  # killed while it wrote
    assert list(history.read(tmp_path / "history.jsonl")) == with_all
    with pytest.raises(ValueError, match="no operation"):
        from_line(b'{"op": "read"}')


@pytest.mark.slow
def test_a_million_operations_are_not_held_in_memory() -> None:
    program = "from tests.server.testing.test_checker import million; million()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    print(done.stdout)


def million() -> None:
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdict = check(long_history(1_000_000))
    assert verdict.is_linearizable is True and verdict.operations == 1_000_000
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"{time.monotonic() - started:.0f} s, {grown} MiB")
    assert grown < 250, f"{grown} MiB"


def played(seed: int, operations: int, jobs: int) -> list[Event]:
    """A history of real registers that take effect at a random moment within each operation; some answers are lost."""
    chance = random.Random(seed)
    points = []
    for number in range(operations):
        began = chance.uniform(0, operations / 10)
        ended = began + chance.expovariate(2.0)
        points.append((chance.uniform(began, ended), began, ended, number))
    state: dict[str, object] = {}
    history = []
    for _, began, ended, number in sorted(points):
        job = f"job-{chance.randrange(jobs)}"
        now = state.get(job)
        kind = chance.choice((READ, READ, CAS, WRITE))
        lost = chance.random() < 0.03
        if kind == READ:
            history.append(Event(job, READ, began, ended, OK, now))
        elif kind == WRITE:
            state[job] = number
            history.append(Event(job, WRITE, began, ended, UNKNOWN if lost else OK, number))
        else:
            expected = now if chance.random() < 0.7 else -1
            won = expected == now
            if won:
                state[job] = number
            history.append(
                Event(job, CAS, began, ended, UNKNOWN if lost else OK if won else CONFLICT, number, expected)
            )
    return history


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_registers_that_work_pass(seed: int) -> None:
    verdict = check(played(seed, 120, 2))
    assert verdict.is_linearizable is not False, str(verdict)


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_a_read_of_an_old_value_is_found(seed: int) -> None:
    """A read, long after everything else, of a value that was overwritten by an acknowledged write."""
    history = [one for one in played(seed, 60, 1) if one.result != UNKNOWN or one.kind == READ]
    end = max(one.ended for one in history)
    values = [one.value for one in history if one.kind == WRITE or (one.kind == CAS and one.result == OK)]
    if len(values) < 2:
        return
    history.append(Event("job-0", WRITE, end + 1, end + 2, OK, "last"))
    history.append(Event("job-0", READ, end + 3, end + 4, OK, values[0]))
    assert check(history).is_linearizable is False


def test_ten_thousand_operations_are_decided_in_few_steps() -> None:
    """A job has a thousand of them; the search may take twenty steps for each."""
    verdict = check(played(7, 10_000, 10), steps_max=20_000)
    assert verdict.operations == 10_000 and verdict.is_linearizable
