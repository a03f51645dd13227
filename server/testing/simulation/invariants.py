"""The invariants of every run: checked after every step, the costly parts now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yurt.server.raft.core.configuration import Placed, servers_in

if TYPE_CHECKING:
    from yurt.server.raft.core.engine import Engine
    from yurt.server.testing.simulation.cluster import Cluster
    from yurt.server.testing.simulation.world import Server

LOGS_EVERY = 0.2


def _changes(engine: Engine) -> list[Placed]:
    """The configurations that the engine holds, oldest first."""
    return engine.configurations._stack


class Invariants:
    """The history that all servers agree on, and what each of them has shown so far."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.history: list[bytes] = []
        self.leaders: dict[int, str] = {}
        self._commits: dict[tuple[str, int], int] = {}
        self._matches: dict[tuple[str, int, int, str, float], int] = {}
        self._applied: dict[str, tuple[int, int]] = {}  # identity of the list, and how much of it was compared
        self._began: dict[tuple[str, int, int], int] = {}  # commit index at the begin of a leadership
        self._logs_at = 0.0
        self._committed = ("", 0)
        self._configurations = {0: cluster.bootstrap, 1: cluster.bootstrap}  # the committed ones, by index

    def check(self) -> None:
        """Raise AssertionError with what does not hold."""
        leases = []
        for server in self._cluster.servers.values():
            engine = server.engine
            if engine is None:
                continue
            if engine.is_leader_role:
                self._leads(server)
                if not server.is_paused and not self._cluster.clocks_are_wild and engine.lease_is_valid():
                    leases.append(server.name)
            key = (server.name, server.incarnation)
            assert engine.commit_index >= self._commits.get(key, 0), "a commit index never goes back"
            self._commits[key] = engine.commit_index
            self._compare(server)
        self._watch_leader()
        assert len(leases) <= 1, f"{leases} hold a lease at the same time"
        if self._cluster.world.time >= self._logs_at:
            self._logs_at = self._cluster.world.time + LOGS_EVERY
            self.check_logs()

    def _leads(self, server: Server) -> None:
        engine = server.engine
        assert engine is not None
        known = self.leaders.setdefault(engine.term, server.name)
        assert known == server.name, f"two leaders in term {engine.term}: {known} and {server}"
        began = self._began.setdefault((server.name, server.incarnation, engine.term), engine.commit_index)
        if engine.commit_index > began:
            newest = engine.log.term_at(engine.commit_index)
            assert newest in (None, engine.term), f"{server} commits an entry of term {newest} in term {engine.term}"
        for name, progress in engine.progress.items():
            key = (server.name, server.incarnation, engine.term, name, progress.began)
            assert progress.match >= self._matches.get(key, 0), "what a follower has proved stays proved"
            self._matches[key] = progress.match

    def _watch_leader(self) -> None:
        """When the newest leader commits, what it counts is on the disks of those who count, now and then looked up."""
        leader = self._cluster.leader
        engine = leader.engine if leader is not None else None
        if leader is None or engine is None or (leader.name, engine.commit_index) == self._committed:
            return
        self._committed = (leader.name, engine.commit_index)
        pending = [one.index for one in _changes(engine) if one.index > engine.commit_index]
        assert len(pending) <= 1, f"{leader} has several changes under way: {pending}"
        if engine.term == max(one.engine.term for one in self._cluster.running if one.engine is not None):
            self._cluster.network.oracle.counted(leader, engine)

    def _compare(self, server: Server) -> None:
        """Assert that the entries applied here are the beginning of the one history."""
        applied = server.machine.applied
        identity, done = self._applied.get(server.name, (0, 0))
        if identity != id(applied) or done > len(applied):
            done = 0
        if done < len(applied):
            known = self.history[done : len(applied)]
            assert applied[done : done + len(known)] == known, f"{server} applied another history"
            self.history.extend(applied[done + len(known) :])
        self._applied[server.name] = (id(applied), len(applied))

    def check_logs(self) -> None:
        """Check log matching, and that each server uses the newest configuration in its log."""
        running = self._cluster.running
        logs = [server.engine.log for server in running if server.engine is not None]
        for position, log in enumerate(logs):
            for other in logs[position + 1 :]:
                same = False
                low = max(log.first_index, other.first_index)
                for index in range(min(log.last_index, other.last_index), low - 1, -1):
                    same = same or log.term_at(index) == other.term_at(index)
                    assert not same or log.at(index) == other.at(index), f"logs differ at {index}, below a common term"
        for server in running:
            self._configured(server)
        for server in running:
            self._snapshot_configured(server)

    def _configured(self, server: Server) -> None:
        engine = server.engine
        assert engine is not None
        for placed in _changes(engine):
            if placed.index <= engine.commit_index:
                self._configurations[placed.index] = placed.servers
        for index in range(engine.log.last_index, max(engine.log.first_index, engine.snapshot.index + 1) - 1, -1):
            if (servers := servers_in(engine.log.at(index)[0])) is not None:
                assert engine.configuration == servers, f"{server} does not go by the configuration at {index}"
                return

    def _snapshot_configured(self, server: Server) -> None:
        """A snapshot knows the configuration as of its index, not one that came later and may yet be cut."""
        engine = server.engine
        assert engine is not None
        taken = engine.snapshot
        if taken.index:
            index = max(one for one in self._configurations if one <= taken.index)
            assert taken.configuration == self._configurations[index], (
                f"{server}: the snapshot at {taken.index} is wrong"
            )

    def check_clients(self) -> None:
        """Every acknowledged command stands where it was acknowledged, once; nothing that was refused is there."""
        clients = self._cluster.clients
        for command, place in clients.acknowledged.items():
            assert self.history[place - 1 : place] == [command], f"{command.decode()} is lost"
        commands = [one for one in self.history if not one.startswith(b"restored ")]
        assert len(set(commands)) == len(commands), "a command is applied once"
        if written := clients.refused & set(commands):
            raise AssertionError(f"{sorted(written)[0].decode()} was surely not written, and is there")
