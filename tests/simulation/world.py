"""Virtual time, a network that delays, loses, repeats and splits, and machines that crash: all from one seed."""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.server.raft.simulated_disk import SimulatedDisk
from yurt.server.raft.engine import Engine, cluster_id
from yurt.server.raft.errors import YurtError
from yurt.server.raft.frame import Peer
from yurt.server.raft.hardstate import HardStateFile
from yurt.server.raft.journal import Journal
from yurt.server.raft.snapshots import SnapshotStore
from yurt.server.raft.state import EngineConfig, Storage


class Event:
    """Something that will happen unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class World:
    """The clock and everything that is due."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.time = 0.0
        self._due: list[tuple[float, int, Event]] = []
        self._count = 0
        self.trace: list[str] = []

    def later(self, seconds: float, callback: Callable[[], None]) -> Event:
        self._count += 1
        event = Event(callback)
        heapq.heappush(self._due, (self.time + seconds, self._count, event))
        return event

    def step(self) -> None:
        self.time, _, event = heapq.heappop(self._due)
        if event.callback is not None:
            event.callback()

    def note(self, text: str) -> None:
        self.trace.append(f"{self.time:9.4f} {text}")


class Recorder:
    """A state machine that remembers what was applied, in order."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []

    def apply(self, payload: bytes) -> int:
        self.applied.append(payload)
        return len(self.applied)

    def digest(self, place: bytes) -> tuple[bytes, bytes]:
        return b"%d" % zlib.crc32(b"\n".join(self.applied)), place

    def capture(self) -> list[bytes]:
        return list(self.applied)

    def write(self, capture: list[bytes]) -> Iterator[bytes]:
        yield b"\n".join(capture)

    def restore(self, chunks: Iterator[bytes]) -> None:
        body = b"".join(chunks)
        self.applied = body.split(b"\n") if body else []


class Runtime:
    """The engine's view of the world while one incarnation of a server lives."""

    def __init__(self, server: Server) -> None:
        self._server, self._world = server, server.world
        self._busy_until = 0.0

    def _mine(self, callback: Callable[[], None]) -> Callable[[], None]:
        incarnation = self._server.incarnation

        def run() -> None:
            if self._server.incarnation == incarnation:
                callback()

        return run

    def now(self) -> float:
        return self._world.time

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Event:
        return self._world.later(seconds, self._mine(callback))

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._world.later(0.0, self._mine(callback))

    def run_disk(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        latency = self._server.disk_seconds * (0.5 + self._world.chance.random())
        self._busy_until = max(self._busy_until, self._world.time) + latency
        self._world.later(self._busy_until - self._world.time, self._mine(lambda: _do(work, done)))

    def run_aside(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self._world.later(0.02 * self._world.chance.random(), self._mine(lambda: _do(work, done)))

    def close(self) -> None:
        pass


def _do(work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
    try:
        result = work()
    except YurtError as error:
        done(None, error)
    else:
        done(result, None)


class Server:
    """One server: its disk stays, its engine lives until the next crash."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.world, self.name = cluster, cluster.world, name
        self.disk = SimulatedDisk()
        self.disk_seconds = 0.002
        self.incarnation = 0
        self.engine: Engine | None = None
        self.machine = Recorder()

    def start(self) -> None:
        self.incarnation += 1
        self.machine = Recorder()
        configuration = self.cluster.configuration
        journal = Journal(self.disk, "log", cluster_id(configuration), segment_bytes=self.cluster.segment_bytes)
        journal.open()
        self.disk.make_directory("hard")
        snapshots = SnapshotStore(self.disk, "snap", cluster_id(configuration))
        snapshots.open()
        self.engine = Engine(
            Peer(self.name, self.name, self.name),
            config=EngineConfig(snapshot_entries=20, trailing_entries=5, digest_commands=10),
            machine=self.machine,
            storage=Storage(journal, HardStateFile(self.disk, "hard"), snapshots),
            runtime=Runtime(self),
            chance=random.Random(self.world.chance.random()),
            send=lambda to, data: self.cluster.send(self.name, to, data),
            fatal=self._fatal,
        )
        self.engine.start(configuration)
        self.world.note(f"{self.name} starts in term {self.engine.term} with {self.engine.log.last_index} entries")
        self.cluster.connected(self)

    def _fatal(self, error: BaseException) -> None:
        raise AssertionError(f"the engine of {self.name} stopped: {error!r}") from error

    def crash(self) -> None:
        self.world.note(f"{self.name} crashes")
        self.incarnation += 1
        self.engine = None
        self.disk.crash(self.world.chance)
        self.cluster.disconnected(self)


class Cluster:
    """Servers, the links between them, and what clients were told."""

    def __init__(self, seed: int, size: int) -> None:
        self.world = World(seed)
        chance = self.world.chance
        names = [f"s{number}" for number in range(size)]
        self.configuration = [[name, name, name] for name in names]
        self.segment_bytes = chance.choice((4096, 8192, 65536))
        self.loss = chance.choice((0.0, 0.02, 0.1))
        self.repeats = chance.choice((0.0, 0.05))
        self.delay = chance.choice((0.001, 0.005, 0.05))
        self.slow = chance.choice((0.0, 0.0, 0.02))  # share of messages that take very long
        self.servers = {name: Server(self, name) for name in names}
        self.cut: set[tuple[str, str]] = set()
        self.acknowledged: dict[bytes, int] = {}  # command → its place in the sequence
        self.proposed = 0
        self.leaders: dict[int, str] = {}
        self.commits: dict[tuple[str, int], int] = {}
        for server in self.servers.values():
            server.start()

    # --- the network

    def send(self, sender: str, receiver: str, data: bytes) -> None:
        chance = self.world.chance
        for _ in range(2 if chance.random() < self.repeats else 1):
            if chance.random() < self.loss:
                continue
            delay = self.delay * (0.2 + 2 * chance.random())
            if chance.random() < self.slow:
                delay += 2.0 * chance.random()
            self.world.later(delay, lambda: self._deliver(sender, receiver, data))

    def _deliver(self, sender: str, receiver: str, data: bytes) -> None:
        target = self.servers[receiver]
        if target.engine is not None and (sender, receiver) not in self.cut:
            target.engine.receive(sender, data)

    def connected(self, server: Server) -> None:
        for other in self.servers.values():
            if other is not server and other.engine is not None and server.engine is not None:
                other.engine.peer_connected(server.name)
                server.engine.peer_connected(other.name)

    def disconnected(self, server: Server) -> None:
        for other in self.servers.values():
            if other.engine is not None:
                other.engine.peer_disconnected(server.name)

    # --- clients

    def propose(self) -> None:
        """One client asks whoever thinks that it leads."""
        leading = [one for one in self.servers.values() if one.engine is not None and one.engine.is_ready]
        if not leading:
            return
        self.proposed += 1
        command = b"command-%d" % self.proposed
        self._ask(self.world.chance.choice(leading), command)

    def _ask(self, server: Server, command: bytes) -> None:
        def done(result: Any, error: Exception | None) -> None:
            if error is None:
                assert command not in self.acknowledged, "a command is acknowledged once"
                self.acknowledged[command] = result
                self.world.note(f"{server.name} acknowledges {command.decode()} at {result}")

        assert server.engine is not None
        server.engine.propose(command, done)

    # --- what must always hold

    def check(self) -> None:
        longest: list[bytes] = []
        for server in self.servers.values():
            engine = server.engine
            if engine is None:
                continue
            if engine.is_leader_role:
                leader = self.leaders.setdefault(engine.term, server.name)
                assert leader == server.name, f"two leaders in term {engine.term}: {leader} and {server.name}"
            key = (server.name, server.incarnation)
            assert engine.commit_index >= self.commits.get(key, 0), "a commit index never goes back"
            self.commits[key] = engine.commit_index
            applied = server.machine.applied
            shorter, longer = sorted((longest, applied), key=len)
            assert longer[: len(shorter)] == shorter, f"{server.name} applied another sequence"
            longest = longer
        self.longest = longest

    def check_logs(self) -> None:
        """Entries of equal index and term are equal, and so is everything before them."""
        logs = [server.engine.log for server in self.servers.values() if server.engine is not None]
        for position, log in enumerate(logs):
            for other in logs[position + 1 :]:
                low = max(log.first_index, other.first_index)
                high = min(log.last_index, other.last_index)
                same = False
                for index in range(high, low - 1, -1):
                    equal = log.at(index) == other.at(index)
                    same = same or log.term_at(index) == other.term_at(index)
                    assert equal or not same, f"logs differ at {index} below an entry of the same term"

    def check_acknowledged(self) -> None:
        """Every acknowledged command stands where it was acknowledged, once."""
        for command, place in self.acknowledged.items():
            assert self.longest[place - 1 : place] == [command], f"{command.decode()} is lost"
        assert len(set(self.longest)) == len(self.longest), "a command is applied once"
