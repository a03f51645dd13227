"""A node on virtual time: the product's own node agent, whose tasks are `mock_driver`'s."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from yurt.server.client.agent import NodeAgent
from yurt.server.client.drivers.mock import MockDriver
from yurt.server.client.http import Answered, Unreachable
from yurt.server.client.identity import Identity, keep_identity
from yurt.server.client.start import make_agent
from yurt.server.testing.agent import ClusterError
from yurt.server.testing.virtual.clock import VirtualClock
from yurt.server.testing.virtual.machine import Machine
from yurt.server.testing.virtual.network import VirtualNetwork
from yurt.server.testing.virtual.server import Pending, VirtualServer


class VirtualNode(Machine):
    """One node; it asks the servers one after another until one answers."""

    def __init__(
        self, clock: VirtualClock, network: VirtualNetwork, directory: Path, name: str, servers: Sequence[VirtualServer]
    ) -> None:
        client = {"enabled": True, "servers": [one.name for one in servers], "network_interface": "lo"}
        super().__init__(clock, network, directory, name, {"server": {"enabled": False}, "client": client})
        self._servers = list(servers)
        self._chance = random.Random(clock.world.chance.random())
        self._agent: NodeAgent | None = None
        ids = [str(uuid.UUID(int=self._chance.getrandbits(128), version=4)) for _ in range(2)]
        self._identity = Identity(*ids)

    def _begin(self) -> None:
        keep_identity(self.directory / "client", self._identity)
        mock = MockDriver(self.wall_clock_ns)
        self._agent = make_agent(
            self.config, str(self.directory), self._send, lambda _addresses: None, self._chance,
            known={mock.name: mock}, now_ns=self.wall_clock_ns,
        )  # fmt: skip
        self._agent.start()

    def _gone(self) -> None:
        super()._gone()
        self._agent = None

    async def _stopping(self) -> None:
        assert self._agent is not None
        await self._agent.stop()

    async def _send(self, method: str, target: str, headers: dict[str, str], body: bytes, seconds: float) -> Answered:
        """The answer of the first server that gives one; raises `Unreachable`."""
        deadline = asyncio.get_running_loop().time() + seconds
        for server in list(self._servers):
            try:
                pending = server.begin(method, target, orjson.loads(body) if body else None, headers=headers)
                await self._answered(pending, deadline)
            except OSError:
                self._servers.remove(server)  # asked last from now on
                self._servers.append(server)
                continue
            return pending.status, pending.headers, pending.data
        raise Unreachable("no server answers")

    async def _answered(self, pending: Pending, deadline: float) -> None:
        """Raises TimeoutError, and ConnectionResetError if the server ends before it has answered."""
        news = asyncio.Event()
        pending.ended = self.mine(news.set)
        if not pending.is_done:
            async with asyncio.timeout_at(deadline):
                await news.wait()
        if pending.is_lost:
            raise ConnectionResetError

    # --- as an agent of a cluster

    def wait_ready(self) -> VirtualNode:
        """Whether it is ready is for the servers to say: the cluster waits for that."""
        return self

    def request(self, method: str, path: str, *_args: Any, **_given: Any) -> tuple[int, Any]:
        """Nodes on virtual time answer nothing: raises `ClusterError`."""
        raise ClusterError(f"{self.name} lives on virtual time and answers no {method} {path}: ask a server")
