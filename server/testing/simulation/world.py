"""Machines with an engine: what it is applied to, how it starts and how it ends. Everything follows from one seed."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from yurt.server.raft.core.configuration import cluster_id
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.state import EngineConfig, Storage
from yurt.server.raft.errors import Corrupt
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage.hard_state import HardStateFile
from yurt.server.raft.storage.journal import Journal
from yurt.server.raft.storage.snapshots import SnapshotStore
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk
from yurt.server.testing.virtual.host import Host, HostRuntime

if TYPE_CHECKING:
    from yurt.server.testing.simulation.cluster import Cluster

RATE_BOUND = 0.1  # clocks run at 0.9 to 1.1 of the true rate: what leases are made for


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

    def load(self, chunks: Iterator[bytes], *, in_pieces: bool = True) -> list[bytes]:
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


class Server(Host):
    """One machine."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        super().__init__(cluster.world, name)
        self.cluster = cluster
        self.rate = 1 + cluster.drift * self.world.chance.uniform(-1, 1)
        if cluster.clocks_are_wild:
            self.rate = self.world.chance.choice((0.4, 1.0, 1.6))
        self.engine: Engine | None = None
        self.machine: Recorder = Historian()
        self.is_scrapped = False  # its disk is gone, and its name never comes back
        self.is_failing = False  # a call of its disk has failed or will
        self.rotten: set[str] = set()  # paths of snapshots that it does without

    # --- its life

    def start(self) -> None:
        """Recover from the disk and take part; a crash on the way is one more crash."""
        if self.is_scrapped:
            return
        self.incarnation += 1
        self.resume()
        try:
            self._start()
        except Crash:
            self.power_is_cut()

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
            runtime=HostRuntime(self),
            chance=random.Random(self.world.chance.random()),
            send=lambda to, data: cluster.network.send(self, to, data),
            fatal=self._fatal,
        )  # fmt: skip
        engine.admission.is_vouched = lambda name: cluster.asks_for_proof and name in cluster.servers
        engine.admission.asks_for_proof = lambda: cluster.asks_for_proof
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
            self.power_is_cut()
            return
        self.cluster.ended(self, error)

    def power_is_cut(self) -> None:
        """`disk.crash_at` has come; tests of plain clusters look at the disk themselves."""
        if self.cluster.plain:
            raise Crash
        self.crash()
        self.world.later(0.3, self.start_if_down)

    def start_if_down(self) -> None:
        """Start the process unless it runs."""
        if self.engine is None:
            self.start()

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
