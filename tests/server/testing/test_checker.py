"""The checker: histories that one copy could have given pass, doctored ones of every kind do not."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.server.testing.checker import (
    CAS,
    CONFLICT,
    DELETE,
    OK,
    READ,
    UNKNOWN,
    WRITE,
    Event,
    check,
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
    assert [one.kind for one in verdict.violations][:1] == [kind], str(verdict)


def test_a_conflict_that_should_have_won() -> None:
    history = [event(WRITE, 0, 1, "a"), cas(2, 3, "a", "b", CONFLICT), event(READ, 4, 5, "a")]
    assert check(history).is_linearizable is False


def test_a_search_that_is_given_up_says_so() -> None:
    history = [event(WRITE, 0, 1, number, result=UNKNOWN) for number in range(24)]
    history += [event(READ, 2 + number, 2.5 + number, None if number % 2 else 5) for number in range(6)]
    verdict = check(history, steps_max=500)
    assert verdict.is_linearizable is None and verdict.undecided == ["web"]
    assert "undecided" in str(verdict)


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


def test_ten_thousand_operations_take_seconds() -> None:
    history = played(7, 10_000, 10)
    started = time.monotonic()
    verdict = check(history)
    assert verdict.operations == 10_000 and verdict.is_linearizable is not False
    print(f"{time.monotonic() - started:.1f} s, undecided {len(verdict.undecided)}")
