"""A cluster's agents as processes on loopback, with links of ours between the servers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yurt.server.testing.agent import REAL, ClusterError
from yurt.server.testing.links import Links
from yurt.server.testing.process import FAULTS, AgentProcess, end_tasks, free_ports

CORE = "core"  # the engine that is taken if none is named


def _secret_file(directory: Path) -> Path:
    """The file of the cluster's own secret, for its owner only; made when there is none."""
    file = directory / "cluster-secret"
    directory.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as opened:
            opened.write(f"{secrets.token_urlsafe(32)}\n")
    return file


class Processes:
    """Makes `kind` as servers on an engine. `faults`: there are links, disks and clocks that can be broken."""

    clock = REAL

    def __init__(self, kind: type[AgentProcess], *, faults: bool, engine: str = CORE) -> None:
        self._kind, self._faults, self._engine = kind, faults, engine
        self._links: Links | None = None
        self._tasks_below: Path | None = None

    @property
    def links(self) -> Links:
        """The links between servers; raises `ClusterError` if there are none."""
        if self._links is None:
            raise ClusterError("this cluster has no links to cut: it was made with faults=False or has one server")
        return self._links

    def make(
        self, directory: Path, servers: Sequence[str], nodes: Sequence[str], config: dict[str, Any]
    ) -> tuple[list[AgentProcess], list[AgentProcess], dict[str, str]]:
        """Servers and nodes by their names, and each server's peer address; nothing is started."""
        self._tasks_below = directory if nodes else None
        ports = free_ports(3 * (len(servers) + len(nodes)))
        http, rpc, third = ports[::3], ports[1::3], ports[2::3]
        reached = dict(zip(servers, rpc, strict=False))
        library = dict(zip(servers, third, strict=False)) if self._engine != CORE else {}
        dialled = library
        if self._faults and len(servers) > 1:
            self._links = Links(reached, library)
            reached, dialled = self._links.ports, self._links.library_ports
        block = {
            "enabled": True,
            "bootstrap_expect": len(servers),
            "server_join": {"retry_join": [f"127.0.0.1:{port}" for port in reached.values()]},
        }
        if self._kind.speaks_to_peers:
            block["cluster_secret_file"] = str(_secret_file(directory))
        made = []
        for n, name in enumerate(servers):
            given = {"advertise": {"rpc": f"127.0.0.1:{reached[name]}"}, **config}
            given["server"] = {**block, **config.get("server", {})}
            if name in library:
                addresses = {"address": f"127.0.0.1:{library[name]}", "advertise": f"127.0.0.1:{dialled[name]}"}
                given["server"] |= {"raft_engine": self._engine, "pysyncobj": addresses}
            agent = self._kind(directory / name, name, http[n], rpc[n], **given)
            if self._faults:
                agent.environment[FAULTS] = str(directory / name / "faults.json")
            made.append(agent)
        known = [one.address.removeprefix("http://") for one in made]
        made_nodes = [
            AgentProcess(
                directory / name, name, http[n], rpc[n], server={"enabled": False},
                client={"enabled": True, "servers": known}, plugin={"raw_exec": {"config": {"enabled": True}}},
            )
            for n, name in enumerate(nodes, len(servers))
        ]  # fmt: skip
        return made, made_nodes, {name: f"127.0.0.1:{port}" for name, port in reached.items()}

    def heal(self) -> None:
        """All links work again."""
        if self._links is not None:
            self._links.heal()

    def close(self) -> None:
        """End the tasks that are left, and the links."""
        if self._tasks_below is not None:
            end_tasks(self._tasks_below)
        if self._links is not None:
            self._links.close()
