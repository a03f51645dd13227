"""Whether one copy of each job could have answered so: linearizability, by Wing and Gong's search with a memory.

A job is a register whose values are different in every write. An operation that ended without an answer may have
happened at any time after it began, or never. Jobs are checked one by one: a history is linearizable if each job's is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

READ, WRITE, CAS, DELETE = "read", "write", "cas", "delete"
OK, CONFLICT, UNKNOWN = "ok", "conflict", "unknown"
STEPS_MAX = 400_000
NEVER = float("inf")
Value = Hashable
Kind = Literal["read", "write", "cas", "delete"]
Result = Literal["ok", "conflict", "unknown"]


@dataclass(frozen=True, slots=True)
class Event:
    """One operation on a job; times in seconds of one clock.

    `value` is what was written or read, None for a job that is not there. `expected` is what a check-and-set was to
    find; its result is `conflict` if it found something else. `index` is the job's index in the answer, 0 if unknown.
    """

    job: str
    kind: Kind
    began: float
    ended: float
    result: Result = "ok"
    value: Value = None
    expected: Value = None
    index: int = 0
    server: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """What cannot be, in a word for programs and a sentence for people."""

    kind: str  # phantom, stale-read, lost-write, doubled-write, index-regression, not-linearizable
    job: str
    text: str


@dataclass(slots=True)
class Verdict:
    """`undecided` are jobs whose search was given up; no violations and nothing undecided: it is linearizable."""

    operations: int = 0
    unknown: int = 0
    violations: list[Violation] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)

    @property
    def is_linearizable(self) -> bool | None:
        """None if it was not decided."""
        if self.violations:
            return False
        return None if self.undecided else True

    def __str__(self) -> str:
        said = {True: "linearizable", False: "NOT linearizable", None: "undecided"}[self.is_linearizable]
        lines = [f"{said}: {self.operations} operations, {self.unknown} of unknown outcome"]
        lines += [f"  {one.kind} of {one.job}: {one.text}" for one in self.violations]
        lines += [f"  undecided: {job}" for job in self.undecided]
        return "\n".join(lines)


def check(history: Iterable[Event], *, steps_max: int = STEPS_MAX) -> Verdict:
    """Check a history, in any order. `steps_max` bounds the search of each job."""
    by_job: dict[str, list[Event]] = {}
    verdict = Verdict()
    for event in history:
        by_job.setdefault(event.job, []).append(event)
        verdict.operations += 1
        verdict.unknown += event.result == UNKNOWN
    for job, events in by_job.items():
        events.sort(key=lambda one: (one.began, one.ended))
        found = [*_phantoms(job, events), *_doubled(job, events), *_stale(job, events), *_regressions(job, events)]
        if not found:
            decided = _search(events, steps_max)
            if decided is None:
                verdict.undecided.append(job)
            elif not decided:
                found = [Violation("not-linearizable", job, "no order of its operations explains the answers")]
        verdict.violations += found
    return verdict


# --- what can be said in one sentence


def _writes(events: Sequence[Event]) -> list[Event]:
    return [one for one in events if one.kind in (WRITE, CAS, DELETE) and one.result != CONFLICT]


def _phantoms(job: str, events: Sequence[Event]) -> list[Violation]:
    """Values that nobody wrote, or wrote only after they were read."""
    begun: dict[Value, float] = {None: -NEVER}
    for one in events:
        if one.kind in (WRITE, CAS):
            begun[one.value] = min(begun.get(one.value, NEVER), one.began)
    found = []
    for one in events:
        if one.kind == READ and one.result == OK and begun.get(one.value, NEVER) > one.ended:
            found.append(
                Violation("phantom", job, f"{one.server} read {one.value!r}, which nobody had written by then")
            )
    return found


def _doubled(job: str, events: Sequence[Event]) -> list[Violation]:
    """Two check-and-sets that both found the same value."""
    won: dict[Value, Event] = {}
    found = []
    for one in events:
        if one.kind != CAS or one.result != OK:
            continue
        other = won.setdefault(one.expected, one)
        if other is not one and one.expected is not None:
            text = f"{other.value!r} and {one.value!r} both replaced {one.expected!r}, which was there once"
            found.append(Violation("doubled-write", job, text))
    return found


def _stale(job: str, events: Sequence[Event]) -> list[Violation]:
    """Reads of what a check-and-set had replaced, acknowledged before they began; the newest of them is lost if nothing
    after it was ever read or found."""
    replaced = {one.expected: one for one in events if one.kind == CAS and one.result == OK}
    found = []
    for one in events:
        by = replaced.get(one.value) if one.kind == READ and one.result == OK else None
        if by is None or by.ended >= one.began:
            continue
        seen = any(other.kind == READ and other.value == by.value and other.result == OK for other in events)
        built = by.value in replaced
        kind = "stale-read" if seen or built else "lost-write"
        text = f"{one.server} read {one.value!r} after {by.value!r} had been acknowledged in its place"
        found.append(Violation(kind, job, text))
    return found


def _regressions(job: str, events: Sequence[Event]) -> list[Violation]:
    """Indexes that go back from an operation to one that began after it had ended."""
    known = sorted((one for one in events if one.index and one.result == OK), key=lambda one: one.ended)
    found, newest, at = [], None, 0
    for one in sorted(known, key=lambda one: one.began):
        while at < len(known) and known[at].ended < one.began:
            if newest is None or known[at].index > newest.index:
                newest = known[at]
            at += 1
        if newest is not None and one.index < newest.index:
            text = f"{one.server} answered index {one.index} after {newest.server} had answered {newest.index}"
            found.append(Violation("index-regression", job, text))
    return found


# --- the search


def _apply(event: Event, state: Value) -> tuple[bool, Value]:
    """Whether the operation's answer is right for a state, and the state after it."""
    if event.kind == READ:
        return state == event.value, state
    if event.kind == WRITE:
        return True, event.value
    if event.kind == DELETE:
        return True, None
    if event.result == CONFLICT:
        return state != event.expected, state
    return state == event.expected, event.value


def _search(events: Sequence[Event], steps_max: int) -> bool | None:
    """Whether some order fits; None if that took too many steps.

    An operation may be next if it began before every other that is left has ended. Orders that led to the same state
    with the same operations left are looked at once. Operations of unknown outcome never have to be taken.
    """
    taken = [one for one in events if one.kind != READ or one.result == OK]
    taken = [one for one in taken if not (one.kind == READ and one.result == UNKNOWN)]
    must = [number for number, one in enumerate(taken) if one.result != UNKNOWN]
    ends = [one.ended if one.result != UNKNOWN else NEVER for one in taken]
    all_must = sum(1 << number for number in must)
    seen: set[tuple[int, Value]] = set()
    stack: list[tuple[int, Value]] = [(0, None)]
    steps = 0
    while stack:
        done, state = stack.pop()
        if done & all_must == all_must:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        steps += 1
        if steps > steps_max:
            return None
        stack += _next(taken, ends, done, state)
    return False


def _next(events: Sequence[Event], ends: Sequence[float], done: int, state: Value) -> list[tuple[int, Value]]:
    """What may come next: states with the operations that are done then; the one that ends first is looked at first."""
    deadline, candidates = NEVER, []
    first = (~done & (done + 1)).bit_length() - 1  # those before it are done
    for number in range(first, len(events)):
        event = events[number]
        if event.began > deadline:
            break
        if done >> number & 1:
            continue
        candidates.append(number)
        deadline = min(deadline, ends[number])
    found = []
    for number in sorted(candidates, key=lambda one: ends[one], reverse=True):
        if events[number].began > deadline:
            continue
        fits, after = _apply(events[number], state)
        if fits:
            found.append((done | 1 << number, after))
    return found
