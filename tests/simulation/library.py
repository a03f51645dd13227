"""The control: the bare library under the same virtual time. A simulator that finds nothing here is broken (raft-engine §1).

Four lives, each with the workload that its fault needs (numbers as in docs/raft.md). Disks are perfect: the library's own
journal in memory survives a restart, so what is lost here is lost by the protocol.

    python -m tests.simulation.library [SEEDS]    # how many of the seeds find each fault
"""

from __future__ import annotations

import copy
import logging
import sys
import types
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import pysyncobj.syncobj as core
from pysyncobj.journal import MemoryJournal
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from yurt.server.testing.virtual.world import World

WRITES_UNTIL, END_SECONDS = 6.0, 12.0
BETWEEN_WRITES = 0.01


class Member(Node):
    """A node whose place in a set does not depend on the hash seed."""

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())


class Wire(Transport):  # type: ignore[misc]  # the library has no types
    """The library's own seam, on the simulated network."""

    def __init__(self, life: LibraryLife, name: str) -> None:
        super().__init__(None, None, [])
        self._life, self._name = life, name

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Always taken: it may be lost later."""
        self._life.send(self._name, node.id, copy.deepcopy(message))
        return True

    def addNode(self, node: Node) -> None:
        """All are connected from the start."""

    def dropNode(self, node: Node) -> None:
        """Nothing to close."""

    def destroy(self) -> None:
        """Nothing to close."""


class Replica(core.SyncObj):  # type: ignore[misc]  # the library has no types
    """A replicated list, as the library's manual shows it."""

    def __init__(self, life: LibraryLife, name: str, others: list[str]) -> None:
        settings = core.SyncObjConf(
            autoTick=False, raftMinTimeout=0.4, raftMaxTimeout=1.0, appendEntriesPeriod=0.05,
            dynamicMembershipChange=True, logCompactionMinTime=10**9, **life.settings,
        )  # fmt: skip
        self.wire = Wire(life, name)
        super().__init__(Member(name), [Member(one) for one in others], settings, transport=self.wire, nodeClass=Member)
        self.applied: list[int] = []  # what comes after the constructor is what snapshots hold
        self._poller = types.SimpleNamespace(poll=lambda _seconds: None)

    @core.replicated  # type: ignore[untyped-decorator]
    def put(self, value: int) -> None:
        """Append."""
        self.applied.append(value)


class LibraryLife:
    """A cluster of bare replicas; `story` is what happens to it, `settings` those of the library."""

    def __init__(
        self, seed: int, story: Story, *, late: float = 0.0, burst: int = 1, tick: float = 0.005, **settings: Any
    ) -> None:
        self.world, self._story, self.settings = World(seed), story, settings
        self._burst, self._tick_seconds = burst, tick  # writes at once; between two ticks of a server
        self.world.time = 100.0
        self.late = late  # share of messages that come much later than those sent after them
        self.replicas: dict[str, Replica] = {}
        self.cut: set[tuple[str, str]] = set()
        self.acknowledged: list[int] = []
        self._journals: dict[str, MemoryJournal] = {}
        self._arrives: dict[tuple[str, str], float] = {}
        self._lengths: dict[str, int] = {}
        self._asked = 0

    # --- what stories do

    def start(self, name: str, others: list[str]) -> None:
        """Start a server, or start it again with what its disk holds."""
        journal = self._journals.setdefault(name, MemoryJournal())
        with mock.patch.object(core, "createJournal", return_value=journal):
            replica = self.replicas[name] = Replica(self, name, others)
        self._lengths[name] = 0
        for other in ("a", "b", "c", "d", "e"):
            if other != name:
                replica.wire._onNodeConnected(Member(other))

    def leader(self) -> str | None:
        """Somebody who says that it leads."""
        leading = [name for name, one in self.replicas.items() if one._isLeader()]
        return self.world.chance.choice(leading) if leading else None

    def split(self, names: set[str]) -> None:
        """These do not hear the others, nor the others these."""
        everybody = ("a", "b", "c", "d", "e")
        self.cut = {(one, two) for one in everybody for two in everybody if (one in names) != (two in names)}

    # --- network and time

    def send(self, sender: str, receiver: str, message: dict[str, Any]) -> None:
        """In order on each link, as over one connection, but for late ones."""
        chance, link = self.world.chance, (sender, receiver)
        at = self.world.time + 0.03 * chance.random()
        if chance.random() < self.late:
            at += 0.5 * chance.random()
        else:
            at = self._arrives[link] = max(at, self._arrives.get(link, 0.0))
        self.world.later(at - self.world.time, lambda: self._arrive(sender, receiver, message))

    def _arrive(self, sender: str, receiver: str, message: dict[str, Any]) -> None:
        replica = self.replicas.get(receiver)
        if replica is not None and (sender, receiver) not in self.cut and sender in self.replicas:
            _carry_on(lambda: replica.wire._onMessageReceived(Member(sender), message))

    def _tick(self) -> None:
        names = sorted(self.replicas)
        for name in self.world.chance.sample(names, len(names)):
            replica = self.replicas[name]
            _carry_on(lambda replica=replica: replica._onTick(0))  # type: ignore[misc]
        self._check()
        if self.world.time < 100 + END_SECONDS:
            self.world.later(self._tick_seconds, self._tick)

    def _write(self) -> None:
        leader = self.leader()
        for _ in range(self._burst if leader is not None else 0):
            self._asked += 1
            self.replicas[str(leader)].put(self._asked, callback=partial(self._answered, self._asked))
        if self.world.time < 100 + WRITES_UNTIL:
            self.world.later(2 * BETWEEN_WRITES * self.world.chance.random(), self._write)

    def _answered(self, value: int, _result: Any, error: Any) -> None:
        if not error:
            self.acknowledged.append(value)

    # --- what must hold

    def _check(self) -> None:
        for name, replica in self.replicas.items():
            length = len(replica.applied)
            assert length >= self._lengths[name], f"{name} had applied {self._lengths[name]} commands, now {length}"
            self._lengths[name] = length

    def live(self) -> None:
        """Raises AssertionError for a promise that was broken."""
        with _library(self.world):
            for name in ("a", "b", "c"):
                self.start(name, [one for one in ("a", "b", "c") if one != name])
            self._tick()
            self.world.later(1.0, self._write)
            self._next(self._story(self))
            while self.world.time < 100 + END_SECONDS:
                self.world.step()
        histories = {name: replica.applied for name, replica in self.replicas.items()}
        longest = max(histories.values(), key=len)
        for name, history in histories.items():
            assert history == longest[: len(history)], f"{name} applied another history"
        lost = set(self.acknowledged) - set(longest)
        assert not lost, f"{len(lost)} acknowledged commands are lost"

    def _next(self, story: Iterator[float]) -> None:
        """A story yields the seconds until it goes on."""
        seconds = next(story, None)
        if seconds is not None:
            self.world.later(seconds, lambda: self._next(story))


Story = Callable[[LibraryLife], Iterator[float]]


def _carry_on(work: Callable[[], Any]) -> None:
    """As the library's own thread does: what is raised is logged, and the next tick goes on."""
    try:
        work()
    except (KeyError, AttributeError, TypeError, IndexError):
        logging.getLogger(__name__).debug("the library raised", exc_info=True)


@contextmanager
def _library(world: World) -> Iterator[None]:
    """The library reads our clock and our dice."""
    with (
        mock.patch.object(core, "monotonicTime", side_effect=lambda: world.time),
        mock.patch.object(core, "random", types.SimpleNamespace(random=world.chance.random)),
    ):
        yield


# --- the stories


def the_leader_dies(life: LibraryLife) -> Iterator[float]:
    """Fault 5: appends that repeat older ones cut what came after."""
    yield 2.0 + 2 * life.world.chance.random()
    leader = life.leader()
    if leader is not None:
        del life.replicas[leader]


def two_changes_at_once(life: LibraryLife) -> Iterator[float]:
    """Fault 13: d and e are added together, and just then the old leader has them on its side."""
    yield 2.0 + life.world.chance.random()
    leader = life.leader()
    if leader is None:
        return
    members = sorted(life.replicas)
    for name in ("d", "e"):
        life.start(name, [*members, *({"d", "e"} - {name})])
        life.replicas[leader].addNodeToCluster(Member(name))
    yield 0.03 * life.world.chance.random()
    life.split({leader, "d", "e"})
    yield 2.5
    life.cut = set()


def restarts_after_growth(life: LibraryLife) -> Iterator[float]:
    """Fault 14: a cluster that has grown to five; two of the first three restart, and are a majority of three again."""
    yield 2.0
    for name in ("d", "e"):
        leader = life.leader()
        if leader is None:
            return
        life.start(name, sorted(life.replicas))
        life.replicas[leader].addNodeToCluster(Member(name))
        yield 0.5
    leader = life.leader()
    alone = [name for name in ("a", "b", "c") if name != leader][:2]
    life.split(set(alone))
    for name in alone:
        life.start(name, [one for one in ("a", "b", "c") if one != name])
    yield 2.5
    life.cut = set()


def nothing_but_late_messages(_life: LibraryLife) -> Iterator[float]:
    """Fault 20: a late refusal makes the leader send a snapshot that is older than what the follower has applied."""
    yield 0.0


LIVES: dict[int, Callable[[int], LibraryLife]] = {
    5: lambda seed: LibraryLife(
        seed,
        the_leader_dies,
        burst=4,
        tick=0.002,
        appendEntriesUseBatch=False,
        appendEntriesBatchSizeBytes=100,
        logCompactionMinEntries=10**9,
    ),
    13: lambda seed: LibraryLife(seed, two_changes_at_once, logCompactionMinEntries=10**9),
    14: lambda seed: LibraryLife(seed, restarts_after_growth, logCompactionMinEntries=10**9),
    20: lambda seed: LibraryLife(seed, nothing_but_late_messages, late=0.02, logCompactionMinEntries=20),
}


def finds(fault: int, seed: int) -> str:
    """What the simulation says of the library in this seed; "" if it does not see the fault."""
    try:
        LIVES[fault](seed).live()
    except AssertionError as error:
        return str(error)
    return ""


def main() -> None:
    """Tell for every fault how many seeds show it."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    logging.disable(logging.CRITICAL)
    for fault in LIVES:
        found = {seed: text for seed in range(seeds) if (text := finds(fault, seed))}
        first = next(iter(found), None)
        told = f"first by seed {first}: {found[first]}" if first is not None else "NOT FOUND"
        print(f"fault {fault}: {len(found)} of {seeds} seeds, {told}", flush=True)


if __name__ == "__main__":
    main()
