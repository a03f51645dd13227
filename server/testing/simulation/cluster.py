"""A cluster on virtual time: its servers, its network, what clients were told, and what must hold at every step."""

from __future__ import annotations

from typing import Any

from yurt.fsm.errors import YurtError
from yurt.server.raft.core.election import LEADERLESS_ELECTIONS
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.state import ELECTION_SECONDS
from yurt.server.testing.simulation.clients import Clients
from yurt.server.testing.simulation.invariants import Invariants
from yurt.server.testing.simulation.jobs import JobStore
from yurt.server.testing.simulation.network import Network
from yurt.server.testing.simulation.world import RATE_BOUND, Historian, Recorder, Server
from yurt.server.testing.virtual.host import DISK_SECONDS
from yurt.server.testing.virtual.world import World

SERVERS_MAX = 7


class Cluster:
    """`size` servers begin it; more may come, and go. `plain`: usual sizes, exact clocks, no faults."""

    def __init__(self, seed: int, size: int, *, plain: bool = False, settings: dict[str, Any] | None = None) -> None:
        self.world, self.plain = World(seed), plain
        chance = self.world.chance
        names = [f"s{number}" for number in range(size)]
        self.bootstrap = [[name, name, name] for name in names]
        self.segment_bytes = chance.choice((4096, 8192, 65536))
        self.inflight_max = chance.choice((2, 8, 64))
        self.message_bytes = chance.choice((100, 2 << 20))
        self.snapshot_entries = chance.choice((20, 20, 20, 10_000))
        self.snapshot_window = 300
        self.keeps_jobs = False  # the machine is the product's own
        self.drift = chance.choice((0.0, RATE_BOUND))
        self.between_writes = chance.choice((0.03, 0.03, 0.03, 0.3))
        self.between_reads = 0.05
        self.pause = 0.0  # between two faults; 0: to be drawn
        self.clocks_are_wild = False  # beyond the bound: leases may break, and nobody relies on them
        self.one_is_gone = size > 2 and chance.random() < 0.2  # for good, when peace comes
        self.calm_delay = chance.choice((0.002, 0.002, 0.05))
        self.calm_disk_seconds = chance.choice((DISK_SECONDS, DISK_SECONDS, DISK_SECONDS, 0.1, 0.8))
        # Whether connections prove who belongs to the cluster; drawn without moving what else a seed draws.
        self.asks_for_proof = plain or bool(chance.getstate()[1][1] & 1)
        if plain:
            self.inflight_max, self.message_bytes, self.snapshot_entries, self.drift = 64, 2 << 20, 20, 0.0
        self.servers: dict[str, Server] = {}
        self.network = Network(self)
        if plain:
            self.network.calm(0.001)
        for name, value in (settings or {}).items():
            owner = next(one for one in (self, self.network, self.network.oracle) if hasattr(one, name))
            setattr(owner, name, value)
        if self.keeps_jobs:  # its commands are larger
            self.message_bytes, self.snapshot_window = 20 * self.message_bytes, 20 * self.snapshot_window
            self.calm_disk_seconds = min(self.calm_disk_seconds, 0.1)
        self.clients = Clients(self)
        self.invariants = Invariants(self)
        self.expects_end = False
        self.replacing = ""  # the server whose disk was lost last, until another one votes in its place
        self.replaced = 0
        self.wakes_at = 0.0  # when the machine that stalled last goes on
        self.gone: Server | None = None
        self.ends: list[tuple[str, BaseException]] = []
        for name in names:
            self.add_machine(name)

    def engine_made(self, server: Server, engine: Engine) -> None:
        """An incarnation has its engine, which has not started yet: the rest of its process may be put beside it."""

    def new_machine(self) -> Recorder:
        """Return the machine that the log is applied to, as it is before the first entry."""
        if self.keeps_jobs:
            return JobStore()
        return Recorder() if self.plain else Historian()

    def add_machine(self, name: str) -> Server:
        """A machine that starts with an empty disk."""
        server = self.servers[name] = Server(self, name)
        server.start()
        return server

    def ended(self, server: Server, error: BaseException) -> None:
        """An engine asks for the end of its process: never, unless a test has made it."""
        if server.is_failing and isinstance(error, OSError | YurtError):
            self.world.note(f"{server} ends: {error}")
            server.crash()
            self.world.later(0.3, server.start_if_down)
            return
        is_promise = isinstance(error, AssertionError | YurtError)
        if not is_promise:
            raise RuntimeError(f"the engine of {server} broke") from error
        assert self.expects_end, f"the engine of {server} stopped: {error!r}"
        self.ends.append((server.name, error))
        server.end()

    @property
    def is_slow_in_peace(self) -> bool:
        """Whether disks or network stay slow when all faults have ended."""
        return self.calm_disk_seconds > DISK_SECONDS or self.calm_delay > 0.01

    @property
    def running(self) -> list[Server]:
        """The servers whose process is there."""
        return [server for server in self.servers.values() if server.engine is not None]

    @property
    def leader(self) -> Server | None:
        """The server that leads in the newest term and is ready, if there is one."""
        leading = [one for one in self.running if one.engine is not None and one.engine.is_ready]
        return max(leading, key=lambda one: one.engine.term if one.engine else 0, default=None)

    @property
    def patience(self) -> float:
        """Seconds until a member follows a leader that it does not know, which is sooner if connections prove it."""
        return 0.0 if self.asks_for_proof else 1.25 * LEADERLESS_ELECTIONS * ELECTION_SECONDS

    def step(self) -> None:
        """The next thing happens; then everything must hold."""
        self.world.step()
        self.invariants.check()

    def run_until(self, time: float) -> None:
        """Step until then, without any workload."""
        while self.world.time < time:
            self.step()

    def calm(self) -> None:
        """All faults end, and everybody runs but one that may be gone; a slow network and slow disks are no faults."""
        self.world.note("peace")
        if self.one_is_gone:
            self._lose_one()
        self.network.calm(self.calm_delay)
        for server in self.servers.values():
            server.resume()
            server.disk.capacity, server.disk.crash_at = None, None
            server.disk.fail_at = {}
            server.disk_seconds = self.calm_disk_seconds
            if server.engine is None and server is not self.gone:
                server.start()

    def _lose_one(self) -> None:
        """The voter that knows most, but for the leader, if those who are left are a majority wherever one looks."""
        configurations = [one.engine.configuration for one in self.running if one.engine is not None]
        if len(self.servers) != len(self.bootstrap) or any(one != self.bootstrap for one in configurations):
            return
        leader = self.leader
        others = [one for one in self.running if one is not leader]
        if others:
            self.gone = max(others, key=lambda one: one.engine.log.last_index if one.engine else 0)
            self.world.note(f"{self.gone} is gone for good")
            self.gone.crash()
