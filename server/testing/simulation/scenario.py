"""One life of a cluster: a workload under faults for a while, then peace, then everything must be there and go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from yurt.fsm.errors import YurtError
from yurt.server.testing.checker import check
from yurt.server.testing.simulation import jobs
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.faults import KINDS, SILENCE, silence
from yurt.server.testing.simulation.operators import WORK
from yurt.server.testing.simulation.world import Server

SIZES = (1, 2, 3, 3, 3, 4, 5, 5)
FAULT_SECONDS = 7.0
PEACE_SECONDS, SLOW_PEACE_SECONDS = 12.0, 60.0
JOBS_EVERY = 4  # one of so many lives (of each size) has the product's own state machine
QUIET_SECONDS, SLOW_QUIET_SECONDS = 8.0, 50.0  # within which all answer reads, though nobody writes
AFTERWARDS = 8  # commands acknowledged in peace


class Life:
    """A seed: `size`, `faults` and `work` (names of the tables) are drawn from it unless they are given.

    `settings` replace what it draws of the cluster, its network or its oracle, by the names of their attributes.
    """

    def __init__(
        self,
        seed: int,
        *,
        size: int = 0,
        faults: tuple[str, ...] = (),
        work: tuple[str, ...] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.seed = seed
        if settings is None and seed // len(SIZES) % JOBS_EVERY == JOBS_EVERY - 1:
            settings = {"keeps_jobs": True}
        self.cluster = Cluster(seed, size or SIZES[seed % len(SIZES)], settings=settings)
        chance = self.cluster.world.chance
        self.faults = faults or tuple(name for name in KINDS if chance.random() < 0.45)
        self.work = tuple(name for name in WORK if chance.random() < 0.4) if work is None else work
        if self.cluster.keeps_jobs:
            self.work = tuple(name for name in self.work if name != "restore")  # its states are none of the product
        self.counts: Counter[str] = Counter()
        self.cluster.pause = self.cluster.pause or chance.choice((0.3, 0.7, 1.4))
        self._next: dict[str, float] = {}
        self.seconds = FAULT_SECONDS
        self.script: Iterator[float] | None = None  # does what goes wrong in place of the dice; yields pauses
        self.look: Callable[[], None] = lambda: None  # called after every step of the faulty time

    def live(self) -> Life:
        """Raise AssertionError, with the end of the trace, if a promise is broken; any other error is the harness's."""
        cluster = self.cluster
        try:
            self._suffer()
            self._wait_for_the_stalled()
            self._recover()
        except (AssertionError, YurtError) as error:
            trace = "\n".join(cluster.world.trace[-40:])
            again = f"python -m tests.simulation.replay {self.seed}"
            raise AssertionError(f"seed {self.seed}: {error!r}\n{trace}\nreplay: {again}") from error
        return self

    # --- faults

    def _suffer(self) -> None:
        world, script_at = self.cluster.world, 0.0
        while world.time < self.seconds or self.script is not None:
            self.cluster.step()
            self.look()
            self._clients(self.cluster.between_writes, self.cluster.between_reads)
            if self.script is not None:
                if world.time >= script_at:
                    if (pause := next(self.script, None)) is None:
                        self.seconds = world.time
                        break
                    script_at = world.time + pause
            elif world.time > 1.0 and self._is_due("fault", self.cluster.pause) and self.faults:
                self.fault()
            for name in self.work:
                if world.time > 0.8 and self._is_due(name, WORK[name][1]):
                    self.counts[name] += 1
                    WORK[name][0](self.cluster)

    def _wait_for_the_stalled(self) -> None:
        """A machine that stands still for minutes outlasts the other faults; little is asked meanwhile."""
        while self.cluster.world.time < self.cluster.wakes_at:
            self.cluster.step()
            self._clients(2.0, 2.0)

    def fault(self) -> str:
        """One of this life's kinds of faults, by chance; which."""
        chance = self.cluster.world.chance
        name = chance.choices(self.faults, [KINDS[one][1] for one in self.faults])[0]
        leader = self.cluster.leader
        server = chance.choice(list(self.cluster.servers.values()))
        if leader is not None and chance.random() < 0.4:
            server = leader
        self.counts[name] += 1
        KINDS[name][0](self.cluster, server)
        return name

    def _clients(self, between_writes: float, between_reads: float) -> None:
        if self._is_due("write", between_writes):
            self.cluster.clients.write()
        if self._is_due("read", between_reads):
            self.cluster.clients.read()

    def _is_due(self, name: str, seconds: float) -> bool:
        """Whether it is time; the next time is drawn around `seconds` later."""
        world = self.cluster.world
        if world.time < self._next.get(name, 0.0):
            return False
        self._next[name] = world.time + 2 * seconds * world.chance.random()
        return True

    # --- peace

    def _recover(self) -> None:
        cluster, world = self.cluster, self.cluster.world
        if SILENCE in self.faults:
            self._be_silent()
        else:
            cluster.calm()
        before = len(cluster.clients.acknowledged)
        end = world.time + (SLOW_PEACE_SECONDS if cluster.is_slow_in_peace else PEACE_SECONDS) + cluster.patience
        while world.time < end and len(cluster.clients.acknowledged) < before + AFTERWARDS:
            cluster.step()
            self._clients(0.05, 0.1)
        while world.time < end and not self._is_settled():
            cluster.step()
        cluster.invariants.check_logs()
        cluster.invariants.check_clients()
        verdict = check(cluster.clients.history())
        assert verdict.is_linearizable is not False, str(verdict)
        if cluster.keeps_jobs:
            jobs.check(cluster.invariants.history, cluster.clients.acknowledged)
            assert self._has_one_state(), "servers that have applied the same differ"
        assert len(cluster.clients.acknowledged) >= before + AFTERWARDS, "after the faults ended too little is written"
        assert self._is_settled(), "somebody does not catch up after the faults ended"

    def _be_silent(self) -> None:
        """One more leader is toppled, then peace comes, and nobody writes: all members answer default reads."""
        cluster, world = self.cluster, self.cluster.world
        silence(cluster, next(iter(cluster.servers.values())))
        cluster.run_until(world.time + 2.3)
        cluster.calm()
        end = world.time + (SLOW_QUIET_SECONDS if cluster.is_slow_in_peace else QUIET_SECONDS) + cluster.patience
        answered: set[str] = set()
        while world.time < end and not (answered and answered >= self._members()):
            if self._is_due("question", 0.2):
                for server in cluster.running:
                    self._ask(server, answered)
            cluster.step()
        silent = self._members() - answered
        assert answered and not silent, f"without writes {sorted(silent)} answer no default read"

    def _members(self) -> set[str]:
        """Return the names of the running members of the leader's configuration."""
        leader = self.cluster.leader
        if leader is None or leader.engine is None:
            return {server.name for server in self.cluster.running}
        return {one[0] for one in leader.engine.configuration} & {server.name for server in self.cluster.running}

    def _ask(self, server: Server, answered: set[str]) -> None:
        def done(_result: Any, error: Exception | None) -> None:
            if error is None:
                answered.add(server.name)

        if server.engine is not None and server.name not in answered:
            server.engine.read(done)

    def _is_settled(self) -> bool:
        """There is a leader, and all members have applied the same."""
        cluster = self.cluster
        if (leader := cluster.leader) is None:
            return False
        assert leader.engine is not None
        members = [cluster.servers[one[0]] for one in leader.engine.configuration if one[0] != str(cluster.gone)]
        return len({len(one.machine.applied) for one in members}) == 1

    def _has_one_state(self) -> bool:
        """All who have applied the whole history hold the same state, byte for byte."""
        machines = [one.machine for one in self.cluster.running]
        whole = [one for one in machines if len(one.applied) == len(self.cluster.invariants.history)]
        return len({one.contents() for one in whole if isinstance(one, jobs.JobStore)}) == 1


def run(seed: int, *, size: int = 0, faults: tuple[str, ...] = (), work: tuple[str, ...] | None = None) -> Life:
    """Live through a seed."""
    return Life(seed, size=size, faults=faults, work=work).live()
