"""Clients: they write, read on every server in every mode, and remember what they were told (spec raft-engine §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yurt.server.raft.errors import NotLeader, Overloaded, StorageFull
from yurt.server.testing.history import FAIL, OK, READ, UNKNOWN, WRITE, Event
from yurt.server.testing.simulation.jobs import CasClients, Placed

if TYPE_CHECKING:
    from yurt.server.testing.simulation.cluster import Cluster

SURELY_NOT = (NotLeader, Overloaded, StorageFull)
REGISTER = "newest command"  # what histories are about: written by every command, shown by every read


class Clients:
    """All clients together; `floor` is the length of history that a read begun now must see.

    `events` is the same as a history for the checker of real clusters: each command writes one register.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._world = cluster, cluster.world
        self.acknowledged: dict[bytes, int] = {}  # command → its place in the history
        self.refused: set[bytes] = set()  # surely not written, they were told
        self.proposed = self.reads = self.unknown = 0
        self.floor = 0
        self.silent_until = 0.0  # nobody writes before
        self._jobs = CasClients(self._world.chance)
        self.events: list[Event] = []
        self._numbers: dict[bytes, int] = {}
        self._under_way: dict[int, tuple[float, str]] = {}  # commands without an answer yet

    def write(self) -> None:
        """Ask one of those who think that they lead."""
        leading = [one for one in self._cluster.running if one.engine is not None and one.engine.is_leader_role]
        if not leading or self._world.time < self.silent_until:
            return
        server = self._world.chance.choice(leading)
        self.proposed += 1
        command = self._jobs.command(self.proposed) if self._cluster.keeps_jobs else b"command-%d" % self.proposed
        assert server.engine is not None
        floor, number = self.floor, self.proposed
        self._numbers[command] = number

        def done(result: Any, error: Exception | None) -> None:
            outcome = OK if error is None else FAIL if isinstance(error, SURELY_NOT) else UNKNOWN
            self._ended(number, outcome, int(result) if error is None else 0)
            if error is None:
                assert command not in self.acknowledged, "a command is acknowledged once"
                if not self._cluster.plain:  # there a restored state begins anew
                    assert result > floor, "a write comes after all that was known before it began"
                self.acknowledged[command] = result
                if isinstance(result, Placed):
                    self._jobs.answered(command, result)
                self.floor = max(self.floor, result)
            elif isinstance(error, SURELY_NOT):
                self.refused.add(command)
            else:
                self.unknown += 1

        if not server.is_paused:
            self._under_way[number] = (self._world.time, server.name)
            server.engine.propose(command, done)

    def read(self) -> None:
        """Read on any server: by the leader's lease (default) or a majority (consistent), there or through it."""
        running = [one for one in self._cluster.running if not one.is_paused]
        if not running:
            return
        chance = self._world.chance
        server, floor, began = chance.choice(running), self.floor, self._world.time
        quorum = chance.random() < 0.4 or self._cluster.clocks_are_wild
        engine, machine = server.engine, server.machine
        assert engine is not None

        def done(_result: Any, error: Exception | None) -> None:
            if error is None:
                self._showed(machine.applied, began, server.name, "consistent" if quorum else "")
                self._saw(len(machine.applied), floor, f"{server}, {'consistent' if quorum else 'default'}")

        if not quorum and engine.may_read:
            self._showed(machine.applied, began, server.name, "")
            self._saw(len(machine.applied), floor, f"{server} at once")
        else:
            engine.read(done, quorum=quorum)

    def _ended(self, number: int, outcome: str, index: int) -> None:
        began, server = self._under_way.pop(number, (0.0, ""))
        if server:
            self.events.append(
                Event(REGISTER, WRITE, began, self._world.time, outcome, number, index=index, server=server)
            )

    def _showed(self, applied: list[bytes], began: float, server: str, mode: str) -> None:
        """A read's answer: the newest command; states that are restored write nothing."""
        newest = next((one for one in reversed(applied) if one in self._numbers), None)
        value = None if newest is None else self._numbers[newest]
        self.events.append(
            Event(REGISTER, READ, began, self._world.time, OK, value, index=len(applied), server=server, mode=mode)
        )

    def history(self) -> list[Event]:
        """All operations; commands that nobody was told of are of unknown outcome."""
        now = self._world.time
        lost = [
            Event(REGISTER, WRITE, began, now, UNKNOWN, number, server=server)
            for number, (began, server) in self._under_way.items()
        ]
        return [*self.events, *lost]

    def _saw(self, length: int, floor: int, how: str) -> None:
        self.reads += 1
        assert length >= floor, f"a read ({how}) sees {length} commands, {floor} were known before it began"
        self.floor = max(self.floor, length)
