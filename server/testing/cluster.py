"""A cluster of agents, with faults on purpose: processes on loopback, or on virtual time in the caller's own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from yurt.server.testing.agent import START_SECONDS_MAX, Agent, ClusterError, wait_for
from yurt.server.testing.client import Api
from yurt.server.testing.place import Place
from yurt.server.testing.process import AgentProcess
from yurt.server.testing.processes import CORE, Processes

LOG_CHARACTERS = 4000  # of each server's log in a report
Named = Agent | str


class Cluster:
    """`with Cluster(servers=3) as cluster:` starts real `yurt` processes and ends them.

    Their files are in a temporary directory, or in `directory`, which then stays. `config` is merged into every
    agent's configuration. `faults` routes peer traffic through a proxy (cut, delay) and enables disk and clock
    faults. `nodes` are node agents, processes too, which run what is placed on them; their
    tasks end with the cluster. `kind` is what runs as a server; `engine` is what replicates its state, "core" or
    "pysyncobj", the control (docs/raft.md). The last `later` servers are not started: they join when they are.

    `in_process`: everything lives in this process on virtual time, which passes only while something is asked or
    `clock` is told to; all follows from `seed`. There are no sockets, and nodes run `mock_driver` alone.
    """

    def __init__(
        self,
        servers: int = 3,
        *,
        nodes: int = 0,
        directory: Path | str | None = None,
        config: dict[str, Any] | None = None,
        faults: bool = True,
        kind: type[AgentProcess] = AgentProcess,
        engine: str = CORE,
        later: int = 0,
        in_process: bool = False,
        seed: int = 0,
    ) -> None:
        if in_process and engine != CORE:
            raise ClusterError(f"the engine {engine} runs in processes only: leave in_process out")
        self._own_directory = directory is None
        chosen = tempfile.mkdtemp(prefix="yurt-cluster-") if directory is None else directory
        self.directory = Path(chosen).resolve()
        self._place: Place = _virtual(seed) if in_process else Processes(kind, faults=faults, engine=engine)
        self.clock, self.is_in_process = self._place.clock, in_process
        self._began = self.clock.now()
        self.timeline: list[tuple[float, str]] = []
        self._broken: set[str] = set()  # whose disk or clock
        made, made_nodes, self._peers = self._place.make(
            self.directory,
            [f"server{number + 1}" for number in range(servers)],
            [f"node{number + 1}" for number in range(nodes)],
            {**(config or {}), **_expecting(servers - later, config or {})} if later else config or {},
        )
        self._at_once = servers - later
        self.servers, self.nodes = list(made), list(made_nodes)

    # --- life

    def start(self) -> Cluster:
        """Start all servers but those for later, and wait until each answers."""
        for server in self.servers[: self._at_once]:
            server.start()
        for server in self.servers[: self._at_once]:
            server.wait_ready()
        for node in self.nodes:
            node.start()
        self._wait_nodes()
        return self

    def _wait_nodes(self) -> None:
        """Until every node that runs is ready."""
        names = {one.name for one in self.nodes if one.is_running}

        def are_ready() -> bool:
            status, found = self.living[0].request("GET", "/v1/nodes")
            return status == 200 and names <= {one["Name"] for one in found if one["Status"] == "ready"}

        if names:
            wait_for(are_ready, START_SECONDS_MAX, "the nodes", self.clock)

    def close(self) -> None:
        """End everything; a temporary directory goes too."""
        for agent in (*self.nodes, *self.servers):
            agent.end()
        self._place.close()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Cluster:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.report())
        self.close()

    # --- who is who

    def server(self, named: Named) -> Agent:
        """A server or a node by its name, or itself."""
        if not isinstance(named, str):
            return named
        agents = [*self.servers, *self.nodes]
        for agent in agents:
            if agent.name == named:
                return agent
        raise ClusterError(f"there is no server {named}; there are {', '.join(one.name for one in agents)}")

    @property
    def living(self) -> list[Agent]:
        """The servers that run and are not paused."""
        return [one for one in self.servers if one.is_running and not one.is_paused]

    def _leader(self) -> Agent | None:
        by_address = {address: name for name, address in self._peers.items()}
        for server in self.living:
            try:
                status, address = server.request("GET", "/v1/status/leader", timeout=6.0)
            except OSError:
                continue
            found = by_address.get(address) if status == 200 and isinstance(address, str) else None
            if found is not None and self.server(found) in self.living:
                return self.server(found)
        return None

    def leader(self, seconds: float = START_SECONDS_MAX) -> Agent:
        """The server that leads, as the living ones say; waits for one."""
        leader: Agent = wait_for(self._leader, seconds, "a leader", self.clock)
        return leader

    wait_leader = leader

    def followers(self) -> list[Agent]:
        """The living servers that do not lead."""
        leader = self.leader()
        return [one for one in self.living if one is not leader]

    @property
    def address(self) -> str:
        """The HTTP address of a living server."""
        return self.living[0].address

    def env(self) -> dict[str, str]:
        """Environment variables that point the ecosystem's tools at a living server."""
        return {"NOMAD_ADDR": self.address, "YURT_ADDR": self.address}

    def api(self, *, namespace: str = "", timeout: float = 15.0) -> Api:
        """A client of all servers that records what it does."""
        return Api(self.servers, namespace=namespace, timeout=timeout, clock=self.clock)

    # --- faults

    def _note(self, text: str) -> None:
        self.timeline.append((self.clock.now() - self._began, text))

    def kill(self, named: Named) -> Agent:
        """kill -9; what it acknowledged is on disk."""
        server = self.server(named)
        self._note(f"kill {server.name}")
        server.kill()
        return server

    def stop(self, named: Named) -> Agent:
        """Stop it cleanly: a leader hands over first."""
        server = self.server(named)
        self._note(f"stop {server.name}")
        server.stop()
        return server

    def restart(self, named: Named) -> Agent:
        """Start it again (after `kill` or `stop`, or instead of them) and wait until it answers."""
        server = self.server(named)
        if server.is_running:
            self.kill(server)
        self._note(f"start {server.name}")
        if server not in self.nodes:
            server.start()
            server.wait_ready()
            return server
        server.start()
        self._wait_nodes()
        return server

    def pause(self, named: Named) -> Agent:
        """Let it stand still; connections to it stay open."""
        server = self.server(named)
        self._note(f"pause {server.name}")
        server.pause()
        return server

    def resume(self, named: Named) -> Agent:
        """Let a paused server go on."""
        server = self.server(named)
        self._note(f"resume {server.name}")
        server.resume()
        return server

    def partition(self, one: Named, other: Named, *, one_way: bool = False) -> None:
        """Nothing gets from `one` to `other`, nor back unless `one_way`. Earlier cuts end."""
        a, b = self.server(one).name, self.server(other).name
        self._note(f"partition {a} {'→' if one_way else '↔'} {b}")
        self._place.links.cut({(a, b)} if one_way else {(a, b), (b, a)})

    def isolate(self, *named: Named) -> None:
        """Cut these servers off from all others. Earlier cuts end."""
        names = {self.server(one).name for one in named}
        self._note(f"isolate {', '.join(sorted(names))}")
        links = self._place.links
        links.cut(links.isolate(names))

    def cut(self, pairs: set[tuple[str, str]], *, silently: bool = True) -> None:
        """Nothing gets from the first to the second of each pair of names; silently, or by closing what is open.

        Earlier cuts end.
        """
        self._note(f"cut {', '.join(f'{a} → {b}' for a, b in sorted(pairs)) or 'nothing'}")
        links = self._place.links
        links.join()
        links.cut(pairs, silently=silently)

    def slow(self, named: Named, seconds: float) -> None:
        """Everything to and from a server takes so much longer."""
        server = self.server(named)
        self._note(f"slow {server.name} by {seconds} s")
        self._place.links.delays[server.name] = seconds

    def fill_disk(self, named: Named, *, full: bool = True) -> None:
        """There is no room for anything new on its disk, or there is again."""
        self._break(named, "fill the disk of" if full else "free the disk of", full=full)

    def slow_disk(self, named: Named, seconds: float) -> None:
        """Every sync takes so much longer; 0 ends it."""
        self._break(named, f"slow by {seconds} s the disk of", sync_seconds=seconds)

    def move_clock(self, named: Named, seconds: float) -> None:
        """Its wall clock is so far from the truth from now on; 0 ends it."""
        self._break(named, f"move by {seconds} s the clock of", clock_seconds=seconds)

    def _break(self, named: Named, text: str, **faults: Any) -> None:
        server = self.server(named)
        self._note(f"{text} {server.name}")
        server.break_on_purpose(**faults)
        self._broken.add(server.name)

    def heal(self) -> None:
        """All links work again, disks and clocks are as they should be, paused servers go on."""
        self._note("heal")
        self._place.heal()
        for name in sorted(self._broken):
            self.server(name).break_on_purpose(sync_seconds=0.0, full=False, clock_seconds=0.0)
        self._broken.clear()
        for agent in (*self.servers, *self.nodes):
            agent.resume()

    def report(self) -> str:
        """Return the faults so far and the end of each agent's log, for a failing test to show."""
        lines = ["faults:", *(f"  {at:8.3f} s  {text}" for at, text in self.timeline)]
        for agent in (*self.servers, *self.nodes):
            lines += [f"--- {agent!r}", agent.log(LOG_CHARACTERS)]
        return "\n".join(lines)


def _expecting(servers: int, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a cluster that begins with fewer servers than it will have."""
    return {"server": {**config.get("server", {}), "bootstrap_expect": servers}}


def _virtual(seed: int) -> Place:
    from yurt.server.testing.virtual.place import Virtual  # the whole server: only when it is wanted

    return Virtual(seed)
