"""A cluster of real agents on loopback, with faults on purpose."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from yurt.server.testing.client import Api
from yurt.server.testing.links import Links
from yurt.server.testing.process import (
    START_SECONDS_MAX,
    AgentProcess,
    ClusterError,
    end_tasks,
    free_ports,
    wait_for,
)

LOG_CHARACTERS = 4000  # of each server's log in a report
Named = AgentProcess | str


class Cluster:
    """`with Cluster(servers=3) as cluster:` starts real `yurt` processes and ends them.

    Their files are in a temporary directory, or in `directory`, which then stays. `config` is merged into every
    agent's configuration. `faults` puts links of ours between the servers, so that they can be cut and slowed. `nodes`
    are node agents, processes too, which run what is placed on them; their tasks end with the cluster. `kind` is what
    runs as a server.
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
    ) -> None:
        self._own_directory = directory is None
        self.directory = Path(directory) if directory is not None else Path(tempfile.mkdtemp(prefix="yurt-cluster-"))
        self._began = time.monotonic()
        self.timeline: list[tuple[float, str]] = []
        ports = free_ports(2 * (servers + nodes))
        names = [f"server{number + 1}" for number in range(servers)]
        self._links = (
            Links({name: ports[2 * n + 1] for n, name in enumerate(names)}) if faults and servers > 1 else None
        )
        rpc = self._links.ports if self._links else {name: ports[2 * n + 1] for n, name in enumerate(names)}
        block = {
            "enabled": True,
            "bootstrap_expect": servers,
            "server_join": {"retry_join": [f"127.0.0.1:{port}" for port in rpc.values()]},
        }
        self.servers = [
            kind(
                self.directory / name,
                name,
                ports[2 * n],
                ports[2 * n + 1],
                **{
                    "advertise": {"rpc": f"127.0.0.1:{rpc[name]}"},
                    **(config or {}),
                    "server": {**block, **(config or {}).get("server", {})},
                },
            )
            for n, name in enumerate(names)
        ]
        self._rpc = rpc
        self.nodes = [self._node(n + 1, ports[2 * (servers + n)], ports[2 * (servers + n) + 1]) for n in range(nodes)]

    def _node(self, number: int, http_port: int, rpc_port: int) -> AgentProcess:
        name = f"node{number}"
        client = {"enabled": True, "servers": [one.address.removeprefix("http://") for one in self.servers]}
        return AgentProcess(
            self.directory / name, name, http_port, rpc_port, server={"enabled": False}, client=client,
            plugin={"raw_exec": {"config": {"enabled": True}}},
        )  # fmt: skip

    # --- life

    def start(self) -> Cluster:
        """Start all servers and wait until each answers."""
        for server in self.servers:
            server.start()
        for server in self.servers:
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
            wait_for(are_ready, START_SECONDS_MAX, "the nodes")

    def close(self) -> None:
        """End everything; a temporary directory goes too."""
        for node in self.nodes:
            node.end()
        if self.nodes:
            end_tasks(self.directory)
        for server in self.servers:
            server.end()
        if self._links is not None:
            self._links.close()
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

    def server(self, named: Named) -> AgentProcess:
        """A server or a node by its name, or itself."""
        if isinstance(named, AgentProcess):
            return named
        agents = [*self.servers, *self.nodes]
        for agent in agents:
            if agent.name == named:
                return agent
        raise ClusterError(f"there is no server {named}; there are {', '.join(one.name for one in agents)}")

    @property
    def living(self) -> list[AgentProcess]:
        """The servers that run and are not paused."""
        return [one for one in self.servers if one.is_running and not one.is_paused]

    def _leader(self) -> AgentProcess | None:
        by_address = {f"127.0.0.1:{port}": name for name, port in self._rpc.items()}
        for server in self.living:
            try:
                status, address = server.request("GET", "/v1/status/leader", timeout=6.0)
            except OSError:
                continue
            found = by_address.get(address) if status == 200 and isinstance(address, str) else None
            if found is not None and self.server(found) in self.living:
                return self.server(found)
        return None

    def leader(self, seconds: float = START_SECONDS_MAX) -> AgentProcess:
        """The server that leads, as the living ones say; waits for one."""
        leader: AgentProcess = wait_for(self._leader, seconds, "a leader")
        return leader

    wait_leader = leader

    def followers(self) -> list[AgentProcess]:
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
        return Api(self.servers, namespace=namespace, timeout=timeout)

    # --- faults

    def _note(self, text: str) -> None:
        self.timeline.append((time.monotonic() - self._began, text))

    def kill(self, named: Named) -> AgentProcess:
        """kill -9; what it acknowledged is on disk."""
        server = self.server(named)
        self._note(f"kill {server.name}")
        server.kill()
        return server

    def stop(self, named: Named) -> AgentProcess:
        """Stop it cleanly: a leader hands over first."""
        server = self.server(named)
        self._note(f"stop {server.name}")
        server.stop()
        return server

    def restart(self, named: Named) -> AgentProcess:
        """Start it again (after `kill` or `stop`, or instead of them) and wait until it answers."""
        server = self.server(named)
        if server.is_running:
            self.kill(server)
        self._note(f"start {server.name}")
        if server not in self.nodes:
            return server.start().wait_ready()
        server.start()
        self._wait_nodes()
        return server

    def pause(self, named: Named) -> AgentProcess:
        """Let it stand still; connections to it stay open."""
        server = self.server(named)
        self._note(f"pause {server.name}")
        server.pause()
        return server

    def resume(self, named: Named) -> AgentProcess:
        """Let a paused server go on."""
        server = self.server(named)
        self._note(f"resume {server.name}")
        server.resume()
        return server

    def _faulty_links(self) -> Links:
        if self._links is None:
            raise ClusterError("this cluster has no links to cut: it was made with faults=False or has one server")
        return self._links

    def partition(self, one: Named, other: Named, *, one_way: bool = False) -> None:
        """Nothing gets from `one` to `other`, nor back unless `one_way`. Earlier cuts end."""
        a, b = self.server(one).name, self.server(other).name
        self._note(f"partition {a} {'→' if one_way else '↔'} {b}")
        self._faulty_links().cut({(a, b)} if one_way else {(a, b), (b, a)})

    def isolate(self, *named: Named) -> None:
        """Cut these servers off from all others. Earlier cuts end."""
        names = {self.server(one).name for one in named}
        self._note(f"isolate {', '.join(sorted(names))}")
        links = self._faulty_links()
        links.cut(links.isolate(names))

    def cut(self, pairs: set[tuple[str, str]], *, silently: bool = True) -> None:
        """Nothing gets from the first to the second of each pair of names; silently, or by closing what is open.

        Earlier cuts end.
        """
        self._note(f"cut {', '.join(f'{a} → {b}' for a, b in sorted(pairs)) or 'nothing'}")
        links = self._faulty_links()
        links.join()
        links.cut(pairs, silently=silently)

    def slow(self, named: Named, seconds: float) -> None:
        """Everything to and from a server takes so much longer."""
        server = self.server(named)
        self._note(f"slow {server.name} by {seconds} s")
        self._faulty_links().delays[server.name] = seconds

    def heal(self) -> None:
        """All links work again, paused servers go on."""
        self._note("heal")
        if self._links is not None:
            self._links.heal()
        for agent in (*self.servers, *self.nodes):
            agent.resume()

    def report(self) -> str:
        """What was done to the cluster and the end of each server's log: a failing test shows it."""
        lines = ["faults:", *(f"  {at:8.3f} s  {text}" for at, text in self.timeline)]
        for agent in (*self.servers, *self.nodes):
            lines += [f"--- {agent!r}", agent.log(LOG_CHARACTERS)]
        return "\n".join(lines)
