"""A cluster's agents on virtual time, in one process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yurt.server.testing.virtual.clock import VirtualClock
from yurt.server.testing.virtual.host import Host
from yurt.server.testing.virtual.loop import forget_frozen_tasks
from yurt.server.testing.virtual.machine import Machine
from yurt.server.testing.virtual.network import VirtualNetwork
from yurt.server.testing.virtual.node import VirtualNode
from yurt.server.testing.virtual.server import VirtualServer
from yurt.server.testing.virtual.world import World


class Virtual:
    """Makes machines of one world; everything that happens there follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.clock = VirtualClock(World(seed))
        self.links = VirtualNetwork(self.clock.world)
        self._log = _Log(self.clock.world)
        logging.getLogger().addHandler(self._log)

    def make(
        self, directory: Path, servers: Sequence[str], nodes: Sequence[str], config: dict[str, Any]
    ) -> tuple[list[VirtualServer], list[VirtualNode], dict[str, str]]:
        """Servers and nodes by their names, and each server's peer address; nothing is started."""
        addresses = {name: f"127.0.0.1:{number}" for number, name in enumerate(servers, 1)}  # of nothing real
        configuration = [[name, addresses[name], name] for name in servers]
        block = {"enabled": True, "bootstrap_expect": len(servers)}
        made = []
        for number, name in enumerate(servers, 1):
            given = {
                "ports": {"http": 10_000 + number, "rpc": number}, "advertise": {"rpc": addresses[name]},
                **config, "server": {**block, **config.get("server", {})},
            }  # fmt: skip
            made.append(VirtualServer(self.clock, self.links, directory / name, name, given, configuration))
        made_nodes = [VirtualNode(self.clock, self.links, directory / name, name, made) for name in nodes]
        return made, made_nodes, addresses

    def heal(self) -> None:
        """All links work again."""
        self.links.heal()

    def close(self) -> None:
        """Remove what ended processes left behind."""
        logging.getLogger().removeHandler(self._log)
        forget_frozen_tasks(self.clock.world)


class _Log(logging.Handler):
    """The handler that passes the product's log to the machine that runs now, if it is of this world."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(Host.running, Machine) and Host.running.world is self._world:
            Host.running.hear(record)
