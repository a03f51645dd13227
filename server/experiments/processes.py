"""Hands on real servers that we start on this machine: processes, and of Yurt links, disks and clocks too."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from yurt.server.experiments.client import Server
from yurt.server.experiments.records import FaultLog
from yurt.server.experiments.scenario import CLOCK, DISK, JOIN, KILL, LINKS, NODES, PAUSE, STOP, UPGRADE, Scenario
from yurt.testing import AgentProcess, Cluster, ClusterError


class ProcessHands:
    """A cluster of processes; `log` gets the faults. `upgrade_to` is a directory with the next version's package.

    `kind` is what runs as a server; of other software than Yurt only processes can be broken. `engine` is Yurt's.
    """

    def __init__(
        self,
        scenario: Scenario,
        servers: int,
        directory: Path,
        log: FaultLog,
        *,
        upgrade_to: str = "",
        kind: type[AgentProcess] = AgentProcess,
        engine: str = "core",
    ) -> None:
        is_ours = kind is AgentProcess
        self.log, self._upgrade_to = log, upgrade_to
        can = {KILL, PAUSE, STOP}
        can |= {CLOCK} if is_ours else set()
        can |= {DISK} if is_ours and engine == "core" else set()  # a library writes its own files
        can |= {LINKS} if is_ours and servers > 1 else set()
        can |= {JOIN} if is_ours and servers - scenario.later > 2 else set()
        can |= {NODES} if is_ours and scenario.nodes else set()
        can |= {UPGRADE} if is_ours and upgrade_to else set()
        self.can = frozenset(can)
        self.cluster = Cluster(
            servers, nodes=scenario.nodes, directory=directory, config=scenario.settings(), faults=is_ours, kind=kind,
            engine=engine, later=scenario.later,
        )  # fmt: skip
        self.names = tuple(one.name for one in self.cluster.servers)
        self.nodes = tuple(one.name for one in self.cluster.nodes)

    @property
    def servers(self) -> list[Server]:
        """The servers, as clients know them."""
        return [Server(one.name, one.address) for one in self.cluster.servers]

    def open(self) -> None:
        """Start everything and wait until it answers."""
        self.cluster.start()

    def close(self) -> None:
        """End everything, whatever state it is in."""
        self.cluster.close()

    def heal(self) -> None:
        """All faults end; who is down is started."""
        self.cluster.heal()
        for agent in (*self.cluster.servers, *self.cluster.nodes):
            if not agent.is_running:
                self.cluster.restart(agent)

    def down(self) -> list[str]:
        """Servers and nodes whose process is gone."""
        return [one.name for one in (*self.cluster.servers, *self.cluster.nodes) if not one.is_running]

    # --- what scenarios call

    def fault(self, name: str, *servers: str) -> AbstractContextManager[None]:
        """The time in which something is wrong."""
        return self.log.fault(name, *servers)

    def leader(self) -> str:
        """Waits for one."""
        return self.cluster.leader().name

    def leader_now(self) -> str:
        """The server that leads as the others say, "" if there is none."""
        try:
            return self.cluster.leader(0.0).name
        except ClusterError:
            return ""

    def kill(self, name: str) -> None:
        """kill -9."""
        self.cluster.kill(name)

    def stop(self, name: str) -> None:
        """SIGTERM."""
        self.cluster.stop(name)

    def start(self, name: str) -> None:
        """Start it; whether a quorum answers is not waited for, others may be down."""
        agent = self.cluster.server(name)
        if not agent.is_running:
            agent.start()

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.cluster.pause(name)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self.cluster.resume(name)

    def cut(self, pairs: set[tuple[str, str]], *, closing: bool = False) -> None:
        """Links of ours stand between the servers."""
        self.cluster.cut(pairs, silently=not closing)

    def slow_links(self, name: str, seconds: float) -> None:
        """Links of ours wait."""
        self.cluster.slow(name, seconds)

    def slow_disk(self, name: str, seconds: float) -> None:
        """The agent's own switch, YURT_FAULTS."""
        self.cluster.slow_disk(name, seconds)

    def fill_disk(self, name: str, *, full: bool) -> None:
        """The same."""
        self.cluster.fill_disk(name, full=full)

    def jump_clock(self, name: str, seconds: float) -> None:
        """The same."""
        self.cluster.move_clock(name, seconds)

    def dice(self) -> None:
        """Only the simulator has them."""
        raise NotImplementedError

    def upgrade(self, name: str) -> None:
        """Stop it cleanly, and start what is in the other directory."""
        self.cluster.stop(name)
        agent = self.cluster.server(name)
        assert isinstance(agent, AgentProcess), "upgrades are of processes"
        agent.environment["PYTHONPATH"] = self._upgrade_to
        agent.start().wait_ready()
