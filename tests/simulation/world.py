"""Virtual time and machines: clocks that run at their own rate, disks that lose what was not synced, processes that pause.

Everything follows from one seed. A `Server` is a machine: its disk stays, its engine lives until the next crash.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tests.server.raft.simulated_disk import Crash, SimulatedDisk
from yurt.server.raft.engine import Engine, cluster_id
from yurt.server.raft.errors import Corrupt, YurtError
from yurt.server.raft.frame import Peer
from yurt.server.raft.hardstate import HardStateFile
from yurt.server.raft.journal import Journal
from yurt.server.raft.snapshots import SnapshotStore
from yurt.server.raft.state import EngineConfig, Storage

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

DISK_SECONDS = 0.002
RATE_BOUND = 0.1  # clocks run at 0.9 to 1.1 of the true rate: what leases are made for


class Event:
    """Something that will happen unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class World:
    """The true clock and everything that is due."""

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

    def load(self, chunks: Iterator[bytes]) -> list[bytes]:
        body = b"".join(chunks)
        return body.split(b"\n") if body else []

    def swap(self, loaded: list[bytes]) -> None:
        self.applied = list(loaded)

    def swap_above(self, loaded: list[bytes]) -> int:
        self.applied = [*loaded, b"restored"]
        return len(self.applied)


class Historian(Recorder):
    """The same, but a restored state is one more thing that happened: so all servers have one history for ever."""

    def swap_above(self, loaded: list[bytes]) -> int:
        return self.apply(b"restored " + b"".join(loaded))


class Runtime:
    """The engine's view of the world while one incarnation of a server lives."""

    def __init__(self, server: Server) -> None:
        self._server, self._world = server, server.world
        self._busy_until = 0.0

    def now(self) -> float:
        return self._server.clock()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Event:
        return self._world.later(seconds / self._server.rate, self._server.mine(callback))

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._world.later(0.0, self._server.mine(callback))

    def run_disk(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        latency = self._server.disk_seconds * (0.5 + self._world.chance.random())
        self._busy_until = max(self._busy_until, self._world.time) + latency
        self._world.later(self._busy_until - self._world.time, self._server.mine(lambda: _do(work, done)))

    def run_aside(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        seconds = (0.01 + self._server.disk_seconds) * self._world.chance.random()
        self._world.later(seconds, self._server.mine(lambda: _do(work, done)))

    def close(self) -> None:
        pass


def _do(work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
    try:
        result = work()
    except (YurtError, OSError) as error:
        done(None, error)
    else:
        done(result, None)


class Server:
    """One machine."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.world, self.name = cluster, cluster.world, name
        self.disk = SimulatedDisk()
        self.disk_seconds = DISK_SECONDS
        self.rate = 1 + cluster.drift * self.world.chance.uniform(-1, 1)
        if cluster.clocks_are_wild:
            self.rate = self.world.chance.choice((0.4, 1.0, 1.6))
        self.paused_until = 0.0
        self.incarnation = 0
        self.engine: Engine | None = None
        self.loop: asyncio.AbstractEventLoop | None = None  # of the process's other parts, if they live here
        self.machine: Recorder = Historian()
        self.is_failing = False  # a call of its disk has failed or will
        self.rotten: set[str] = set()  # paths of snapshots that it does without

    def __repr__(self) -> str:
        return self.name

    # --- its time

    def clock(self) -> float:
        """What its own clock says: never the true time."""
        return 1000.0 + self.world.time * self.rate

    @property
    def is_paused(self) -> bool:
        """Whether the process stands still."""
        return self.world.time < self.paused_until

    def mine(self, callback: Callable[[], None]) -> Callable[[], None]:
        """The callback for this incarnation only, and not while it is paused."""
        incarnation = self.incarnation

        def run() -> None:
            if self.incarnation != incarnation:
                return
            if self.is_paused:
                self.world.later(self.paused_until - self.world.time, run)
                return
            try:
                self.do(callback)
            except Crash:
                self._power_is_cut()

        return run

    def do(self, callback: Callable[[], None]) -> None:
        """Run a callback as this machine's process does: in its event loop, if it has one."""
        if self.loop is None:
            callback()
            return
        asyncio.events._set_running_loop(self.loop)
        try:
            callback()
        finally:
            asyncio.events._set_running_loop(None)

    # --- its life

    def start(self) -> None:
        """Recover from the disk and take part; a crash on the way is one more crash."""
        self.incarnation += 1
        self.paused_until = 0.0
        try:
            self._start()
        except Crash:
            self._power_is_cut()

    def _start(self) -> None:
        cluster = self.cluster
        self.machine = cluster.new_machine()
        journal = self.journal()
        self.disk.make_directory("hard")
        snapshots = SnapshotStore(self.disk, "snap", cluster_id(cluster.bootstrap))
        snapshots.open()
        self.engine = engine = Engine(
            Peer(self.name, self.name, self.name),
            config=EngineConfig(
                snapshot_entries=cluster.snapshot_entries, trailing_entries=5,
                snapshot_chunk=cluster.snapshot_window // 3, snapshot_window=cluster.snapshot_window,
                digest_commands=10, inflight_max=cluster.inflight_max, message_bytes=cluster.message_bytes,
            ),
            machine=self.machine,
            storage=Storage(journal, HardStateFile(self.disk, "hard"), snapshots),
            runtime=Runtime(self),
            chance=random.Random(self.world.chance.random()),
            send=lambda to, data: cluster.network.send(self, to, data),
            fatal=self._fatal,
        )  # fmt: skip
        cluster.engine_made(self, engine)
        try:
            self.do(lambda: engine.start(cluster.bootstrap))
        except Corrupt:
            self.engine = None
            raise
        self.world.note(f"{self.name} starts in term {engine.term} with entries to {engine.log.last_index}")
        cluster.network.connected(self)

    def journal(self, disk: SimulatedDisk | None = None) -> Journal:
        """The log on its disk, or on a copy of it."""
        identity = cluster_id(self.cluster.bootstrap)
        journal = Journal(disk or self.disk, "log", identity, segment_bytes=self.cluster.segment_bytes)
        journal.open()
        return journal

    def _fatal(self, error: BaseException) -> None:
        if isinstance(error, Crash):
            self._power_is_cut()
            return
        self.cluster.ended(self, error)

    def _power_is_cut(self) -> None:
        """`disk.crash_at` has come; tests of plain clusters look at the disk themselves."""
        if self.cluster.plain:
            raise Crash
        self.crash()
        self.world.later(0.3, lambda: self.engine is None and self.start())

    def crash(self) -> None:
        """Lose power: what was not synced survives in any combination."""
        self.world.note(f"{self.name} crashes")
        self.end()
        self.disk.crash(self.world.chance)

    def end(self) -> None:
        """The process is gone."""
        self.incarnation += 1
        self.engine = None
        self.cluster.network.disconnected(self)
