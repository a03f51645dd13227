"""The rules that a history must keep, each said in one sentence: one class a promise, fed in the order of time.

Each is given an operation when it begins and, unless its outcome is unknown, when it ends; what it found is told at the
end. They keep what was written, not the operations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from yurt.server.testing.history import (
    ALLOCATIONS,
    CAS,
    CHILDREN,
    CONVERGE,
    DISPATCH,
    FAIL,
    OK,
    READS,
    STALE,
    WATCH,
    WRITE,
    Event,
    Value,
    Window,
)

SLEPT_SECONDS = 3.0  # after a write was acknowledged everybody who waits for it has been told
WATCHED_WRITES = 4096  # newest ones of a job that watches are held against


@dataclass(frozen=True, slots=True)
class Violation:
    """The breach of a rule, in a word for programs and a sentence for people; `at` is when it showed."""

    kind: str  # see docs/experiments.md
    job: str
    text: str
    at: float = 0.0


@dataclass(slots=True)
class Rule:
    """One promise, of one job."""

    job: str
    windows: Sequence[Window] = ()
    found: list[Violation] = field(default_factory=list)

    def begin(self, event: Event) -> None:
        """An operation begins."""

    def end(self, event: Event) -> None:
        """It ends, with an answer."""

    def finish(self) -> Iterator[Violation]:
        """Everything that was found."""
        yield from self.found

    def say(self, kind: str, event: Event, text: str) -> None:
        """Note a violation."""
        self.found.append(Violation(kind, self.job, text, event.ended))


@dataclass(slots=True)
class Phantoms(Rule):
    """A value that is read was written by then."""

    begun: set[Value] = field(default_factory=lambda: {None})

    def begin(self, event: Event) -> None:
        if event.kind in (WRITE, CAS):
            self.begun.add(event.value)

    def end(self, event: Event) -> None:
        if event.kind in READS and event.result == OK and event.value not in self.begun:
            self.say("phantom", event, f"{event.server} read {event.value!r}, which nobody had written by then")


@dataclass(slots=True)
class Replacements(Rule):
    """A value is replaced once by check-and-set, and is not read any more by reads that begin after that."""

    replaced: dict[Value, tuple[float, Value]] = field(default_factory=dict)
    read: set[Value] = field(default_factory=set)
    suspects: list[tuple[Event, Value]] = field(default_factory=list)

    def end(self, event: Event) -> None:
        if event.result != OK:
            return
        if event.kind == CAS:
            ended, other = self.replaced.setdefault(event.expected, (event.ended, event.value))
            if other != event.value and event.expected is not None:
                text = f"{other!r} and {event.value!r} both replaced {event.expected!r}, which was there once"
                self.say("doubled-write", event, text)
        elif event.kind in READS and event.mode != STALE:
            self.read.add(event.value)
            ended, by = self.replaced.get(event.value, (event.ended, None))
            if event.value is not None and ended < event.began:
                self.suspects.append((event, by))

    def finish(self) -> Iterator[Violation]:
        """Stale reads; the newest value is lost if nothing after it was ever read or found."""
        for event, by in self.suspects:
            kind = "stale-read" if by in self.read or by in self.replaced else "lost-write"
            self.say(
                kind, event, f"{event.server} read {event.value!r} after {by!r} had been acknowledged in its place"
            )
        yield from self.found


@dataclass(slots=True)
class Indexes(Rule):
    """Indexes do not go back: of writes and reads from one to another that begins later, of stale reads on a server."""

    newest: tuple[int, str] = (0, "")
    floors: dict[int, tuple[int, str]] = field(default_factory=dict)  # of operations under way, by identity
    stale: dict[str, tuple[int, float]] = field(default_factory=dict)  # by server

    def begin(self, event: Event) -> None:
        if event.index:
            self.floors[id(event)] = self.newest

    def end(self, event: Event) -> None:
        floor, by = self.floors.pop(id(event), (0, ""))
        if not event.index or event.result != OK:
            return
        if event.mode == STALE:
            self._stale(event)
            return
        if event.index < floor:
            text = f"{event.server} answered index {event.index} after {by} had answered {floor}"
            self.say("index-regression", event, text)
        self.newest = max(self.newest, (event.index, event.server))

    def _stale(self, event: Event) -> None:
        """A server that was started anew may know less until it hears from the others."""
        floor, since = self.stale.get(event.server, (0, event.began))
        broken = any(
            event.server in one.servers and one.start <= event.ended and one.end >= since for one in self.windows
        )
        if event.index < floor and event.began > since and not broken:
            text = f"{event.server} answered a stale read with index {event.index} after it had answered {floor}"
            self.say("index-regression", event, text)
        if event.index >= floor or event.began > since:
            self.stale[event.server] = (event.index, event.ended)


@dataclass(slots=True)
class Dispatches(Rule):
    """Every acknowledged dispatch has one child; one that was asked for twice with one token too."""

    asked: set[Value] = field(default_factory=set)
    acknowledged: dict[Value, float] = field(default_factory=dict)

    def begin(self, event: Event) -> None:
        if event.kind == DISPATCH:
            self.asked.add(event.value)

    def end(self, event: Event) -> None:
        if event.kind == DISPATCH and event.result == OK:
            self.acknowledged.setdefault(event.value, event.ended)
        elif event.kind == CHILDREN and event.result == OK:
            self._listed(event)

    def _listed(self, event: Event) -> None:
        listed: set[Value] = set()
        for token in event.value if isinstance(event.value, tuple) else ():
            if token in listed:
                self.say("doubled-write", event, f"dispatch {token!r} has two children")
            if token not in self.asked:
                self.say("phantom", event, f"there is a child of dispatch {token!r}, which nobody asked for")
            listed.add(token)
        for token, ended in self.acknowledged.items():
            if ended < event.began and token not in listed:
                self.say("lost-write", event, f"dispatch {token!r} had been acknowledged and has no child")


@dataclass(slots=True)
class Watches(Rule):
    """A watch that goes on from an index has been told of every change up to it, and of later ones soon."""

    writes: deque[tuple[int, float, Value]] = field(default_factory=lambda: deque(maxlen=WATCHED_WRITES))
    told: dict[int, int] = field(default_factory=dict)  # by client: the newest index of the job that it was told

    def end(self, event: Event) -> None:
        if event.result != OK:
            return
        if event.kind != WATCH:
            if event.kind in (WRITE, CAS) and event.index:
                self.writes.append((event.index, event.ended, event.value))
            return
        waited = event.expected if isinstance(event.expected, int) else 0
        told = self.told.get(event.client, waited)
        for index, ended, value in self.writes:
            if told < index <= waited:
                self.say(
                    "watch-miss",
                    event,
                    f"watch {event.client} went on from index {waited}, it was not told of {value!r}",
                )
            elif (
                index > event.index
                and ended < event.ended - SLEPT_SECONDS
                and not self._is_disturbed(ended, event.ended)
            ):
                text = f"watch {event.client} at {event.server} slept for {event.ended - ended:.1f} s over {value!r}"
                self.say("watch-miss", event, text)
        self.told[event.client] = max(told, event.index)

    def _is_disturbed(self, start: float, end: float) -> bool:
        """Whether a fault lasted then: what was under way may come late."""
        return any(one.start <= end and one.end + SLEPT_SECONDS >= start for one in self.windows)


@dataclass(slots=True)
class Placements(Rule):
    """Each running allocation has a name of its own; a job reaches its wanted state when the faults have ended."""

    def end(self, event: Event) -> None:
        if event.kind == ALLOCATIONS and event.result == OK and isinstance(event.value, tuple):
            doubled = sorted({str(one) for one in event.value if event.value.count(one) > 1})
            if doubled:
                self.say("doubled-allocation", event, f"two allocations run under {', '.join(doubled)}")
        elif event.kind == CONVERGE and event.result == FAIL:
            self.say("not-converged", event, event.error or "the job did not come to what it wants")


RULES: tuple[type[Rule], ...] = (Phantoms, Replacements, Indexes, Dispatches, Watches, Placements)
