"""Small scripts of journal operations, the log each of them must leave, and what a crash in the middle may leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from yurt.server.raft.storage.journal import Journal, Operation
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk

CLUSTER = bytes(range(16))
DIRECTORY = "/data/journal"
SEGMENT_BYTES = 400


class Step(NamedTuple):
    """An operation: `append` n entries of `size` bytes in `term`, `cut` from, `drop` up to, `reset` after `index`."""

    kind: str
    index: int = 0
    n: int = 0
    size: int = 20
    term: int = 1


class Log(NamedTuple):
    """A log as it should be: the entries after `base`."""

    base: int = 0
    entries: tuple[tuple[bytes, int, int], ...] = ()

    @property
    def last(self) -> int:
        """Index of the last entry."""
        return self.base + len(self.entries)

    def after(self, step: Step) -> Log:
        """The log after a step."""
        if step.kind == "append":
            term = max(step.term, self.entries[-1][2] if self.entries else 0)  # terms do not fall in a log
            new = ((payload(i, term, step.size), i, term) for i in range(self.last + 1, self.last + 1 + step.n))
            return Log(self.base, (*self.entries, *new))
        if step.kind == "cut":
            return Log(self.base, self.entries[: max(0, step.index - self.base - 1)])
        if step.kind == "drop":
            gone = max(0, min(step.index, self.last) - self.base)
            return Log(self.base + gone, self.entries[gone:])
        return Log(step.index, ())


def payload(index: int, term: int, size: int) -> bytes:
    """Bytes that no other entry has."""
    return (f"{index}.{term}." * (size // 4 + 1)).encode()[:size]


def start(journal: Journal, log: Log, step: Step) -> Operation:
    """Do the loop's side of a step."""
    if step.kind == "append":
        return journal.append(log.after(step).entries[len(log.entries) :], commit_hint=log.last)
    if step.kind == "reset":
        return journal.reset(step.index, step.term)
    return journal.cut(step.index) if step.kind == "cut" else journal.drop(step.index)


def opened(disk: SimulatedDisk, segment_bytes: int = SEGMENT_BYTES) -> Journal:
    """The journal of a server that starts."""
    journal = Journal(disk, DIRECTORY, CLUSTER, segment_bytes=segment_bytes)
    journal.open()
    return journal


def run(
    disk: SimulatedDisk, script: Sequence[Sequence[Step]], segment_bytes: int = SEGMENT_BYTES
) -> tuple[list[Log], int]:
    """Perform a script, a list of batches; return the log after each step begun, and how many steps are durable."""
    logs, durable = [Log()], 0
    try:
        journal = opened(disk, segment_bytes)
        for batch in script:
            operations = []
            for step in batch:
                operations.append(start(journal, logs[-1], step))
                logs.append(logs[-1].after(step))
            journal.perform(operations)
            durable = len(logs) - 1
    except Crash:
        pass
    return logs, durable


def found(journal: Journal) -> Log:
    """What a journal holds."""
    indexes = range(journal.first_index, journal.last_index + 1)
    return Log(journal.first_index - 1, tuple(journal.at(index) for index in indexes))


def allowed(got: Log, logs: Sequence[Log], durable: int) -> bool:
    """Tell whether a crash may leave `got`: what is durable, or a point on the way of the steps after it."""
    return any(_same(got, log) for log in logs[durable:]) or any(
        _between(got, before, after) for before, after in zip(logs[durable:], logs[durable + 1 :], strict=False)
    )


def _same(got: Log, want: Log) -> bool:
    """Equal, but that whole segments are dropped: older entries may still be there."""
    if got.base > want.base or got.last != want.last:
        return False
    return got.entries[want.base - got.base :] == want.entries


def _between(got: Log, before: Log, after: Log) -> bool:
    if before.base != after.base:
        return False
    long, short = (before, after) if before.last > after.last else (after, before)
    if not short.last <= got.last <= long.last or got.base > long.base:
        return False
    return got.entries[long.base - got.base :] == long.entries[: got.last - long.base]


def crashes(
    script: Sequence[Sequence[Step]], *, sector: int = 64
) -> Iterator[tuple[int, list[Log], int, SimulatedDisk]]:
    """Every disk that a crash at any call of the script may leave: (call, logs, durable steps, disk)."""
    call = 0
    while True:
        call += 1
        disk = SimulatedDisk(sector=sector)
        disk.crash_at = call
        logs, durable = run(disk, script)
        if disk.calls < call:
            return
        for after in disk.crash_states():
            yield call, logs, durable, after
