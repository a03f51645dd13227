"""Whether one copy of each job could have answered so: linearizability, and what else was promised.

A job is a register whose values are different in every write. An operation that ended without an answer may have
happened at any time after it began, or never. Jobs are checked one by one: a history is linearizable if each job's is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from yurt.server.testing.history import (
    STALE,
    UNKNOWN,
    Event,
    Window,
    in_order,
)
from yurt.server.testing.linear import GivenUp, Search, is_judged
from yurt.server.testing.rules import RULES, Rule, Violation

STEPS_MAX = 400_000


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


def check(history: Iterable[Event], *, steps_max: int = STEPS_MAX, windows: Sequence[Window] = ()) -> Verdict:
    """Check a history, in any order; it is not held in memory whole.

    `steps_max` bounds the search of each job. `windows` are the faults: what a server may do meanwhile.
    """
    jobs: dict[str, _Job] = {}
    verdict = Verdict()
    pending: list[tuple[float, int, Event, _Job, int]] = []
    for number, event in enumerate(in_order(history)):
        while pending and pending[0][0] < event.began:
            _, _, ended, job, slot = heapq.heappop(pending)
            job.end(ended, slot)
        job = jobs.get(event.job) or jobs.setdefault(event.job, _Job(event.job, steps_max, windows))
        verdict.operations += 1
        verdict.unknown += event.result == UNKNOWN
        slot = job.begin(event)
        if event.result != UNKNOWN:
            heapq.heappush(pending, (event.ended, number, event, job, slot))
    while pending:
        _, _, ended, job, slot = heapq.heappop(pending)
        job.end(ended, slot)
    for name, job in jobs.items():
        verdict.violations += job.finish()
        if job.is_undecided:
            verdict.undecided.append(name)
    return verdict


class _Job:
    """One job's rules and its search; where a rule has found something the search need not say that it cannot be."""

    def __init__(self, job: str, steps_max: int, windows: Sequence[Window]) -> None:
        self._job = job
        self._search: Search | None = Search(steps_max)
        self._rules: list[Rule] = [kind(job, windows) for kind in RULES]
        self._broken: Violation | None = None
        self.is_undecided = False

    def begin(self, event: Event) -> int:
        for rule in self._rules:
            rule.begin(event)
        if self._search is None or not is_judged(event) or event.mode == STALE:
            return -1
        return self._search.begin(event)

    def end(self, event: Event, slot: int) -> None:
        for rule in self._rules:
            rule.end(event)
        if self._search is None or slot < 0:
            return
        try:
            if not self._search.end(slot):
                last = f"{event.kind} {event.value!r} by {event.server}"
                text = f"no order of its operations explains the answers up to {last}"
                self._broken = Violation("not-linearizable", self._job, text, event.ended)
                self._search = None
        except GivenUp:
            self._search, self.is_undecided = None, True

    def finish(self) -> list[Violation]:
        found = [violation for rule in self._rules for violation in rule.finish()]
        if found or self._broken is None:
            self.is_undecided = self.is_undecided and not found
            return found
        return [self._broken]
