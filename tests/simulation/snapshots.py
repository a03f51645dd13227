"""Lives in which snapshots matter: servers that are away for long, full disks, rotten snapshot files, cuts in transfers."""

from __future__ import annotations

from tests.simulation.scenario import PEACE_SECONDS, _make_peace, _settled
from tests.simulation.world import Cluster, Server
from yurt.server.raft.errors import Corrupt

FAULT_SECONDS = 8.0


class Life:
    """One seed; counts what happened, so that a test can tell that something did."""

    def __init__(self, seed: int, size: int = 0) -> None:
        self.seed = seed
        self.cluster = Cluster(seed, size or (3, 3, 5, 4, 2)[seed % 5])
        self.cluster.slow = 0.0
        self.rotten = self.refused = self.full = 0

    def live(self) -> Cluster:
        """Raises AssertionError with the trace's end."""
        try:
            self._faults()
            self._peace()
        except AssertionError as error:
            trace = "\n".join(self.cluster.world.trace[-40:])
            raise AssertionError(f"seed {self.seed}: {error}\n{trace}") from error
        return self.cluster

    def _faults(self) -> None:
        cluster, world = self.cluster, self.cluster.world
        next_fault, next_write, next_check = 1.0, 0.0, 0.0
        while world.time < FAULT_SECONDS:
            world.step()
            if world.time >= next_write:
                cluster.propose()
                next_write = world.time + 0.012 * world.chance.random()
            if world.time >= next_fault:
                self._fault(world.chance.choice(list(cluster.servers.values())))
                next_fault = world.time + 0.6 * world.chance.random()
            cluster.check()
            if world.time >= next_check:
                cluster.check_logs()
                next_check = world.time + 0.2

    def _fault(self, server: Server) -> None:
        cluster, chance = self.cluster, self.cluster.world.chance
        kind = chance.random()
        if kind < 0.6:
            down = [one for one in cluster.servers.values() if one.engine is None]
            if server.engine is not None and len(down) < 2:
                server.crash()
                rots = chance.random() < 0.4
                cluster.world.later(chance.choice((0.02, 0.3, 1.5)), lambda: self._start(server, rots))
        elif kind < 0.75:
            self.full += 1
            server.disk.capacity = server.disk.used() + chance.choice((0, 2000, 20_000))
            cluster.world.note(f"{server.name} has no room")
            cluster.world.later(0.8, lambda: setattr(server.disk, "capacity", None))
        elif kind < 0.9:
            other = chance.choice([one for one in cluster.servers.values() if one is not server])
            cluster.cut = {(server.name, other.name)}
            cluster.world.later(0.5, lambda: setattr(cluster, "cut", set()))
        elif server.engine is not None and not server.engine.snapshotting and server.engine.last_applied:
            server.engine.take_snapshot()

    def _start(self, server: Server, rots: bool) -> None:
        """Start, perhaps with a flipped byte in the newest snapshot; who refuses gets the byte back."""
        if server.engine is not None:
            return
        server.disk.capacity = None
        snapshots = [path for path in server.disk.seen if path.endswith(".snap")]
        if not (rots and snapshots):
            server.start()
            return
        self.rotten += 1
        newest = max(snapshots, key=lambda path: int(path.rpartition("-")[2].removesuffix(".snap")))
        at = self.cluster.world.chance.randrange(server.disk.size(newest))
        self._flip(server, newest, at)
        self.cluster.world.note(f"{server.name} finds {newest} rotten")
        try:
            server.start()
        except Corrupt:
            self.refused += 1
            self._flip(server, newest, at)
            server.start()

    @staticmethod
    def _flip(server: Server, path: str, at: int) -> None:
        byte = server.disk.read(path, at, 1)[0] ^ 0x20
        server.disk.open(path).write(at, bytes([byte]))

    def _peace(self) -> None:
        cluster, world = self.cluster, self.cluster.world
        for server in cluster.servers.values():
            server.disk.capacity = None
        _make_peace(cluster)
        before, next_write = len(cluster.acknowledged), 0.0
        while world.time < FAULT_SECONDS + PEACE_SECONDS and not _settled(cluster, before):
            world.step()
            if world.time >= next_write:
                cluster.propose()
                next_write = world.time + 0.05
            cluster.check()
        cluster.check_logs()
        cluster.check_acknowledged()
        assert len(cluster.acknowledged) > before, "nothing was acknowledged after the faults ended"
        assert _settled(cluster, before), "somebody does not catch up"
