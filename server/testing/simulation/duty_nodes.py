"""A simulated node: registers, heartbeats, and runs its allocations over the HTTP dispatcher."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.node import (
    Driver,
    Node,
    NodeAddress,
    NodeCpu,
    NodeDisk,
    NodeMemory,
    NodeNetwork,
    NodeResources,
)
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.testing.simulation.duty_servers import BIRTH_NS, DutyCluster
from yurt.server.testing.simulation.world import Server as Host


class SimulatedNode:
    """A machine that runs what it is given: it says so a moment later, sometimes that it failed.

    It may be cut off, and it may stand still.
    """

    def __init__(self, cluster: DutyCluster, number: int, pause: float = 0.5) -> None:
        self._cluster, self._world, self._pause = cluster, cluster.world, pause
        self.id = str(uuid.UUID(int=number + 1, version=4))
        self.silent_until = 0.0
        self.fails = True
        self._stands_still = False
        self._held: list[Callable[[], None]] = []  # what came while it stood still
        self._registered = self._busy = False
        self._known: dict[str, int] = {}
        self._states: dict[str, str] = {}  # allocation → what was told last, and was taken
        at = NodeNetwork(mode="host", device="lo", addresses=(NodeAddress(alias="default", address="127.0.0.1"),))
        self._node = Node(
            id=self.id, secret_id=f"{number:036d}", name=f"n{number}", datacenter="dc1",
            attributes={"kernel.name": "linux"},
            drivers={"mock_driver": Driver(detected=True, healthy=True)},
            node_resources=NodeResources(
                cpu=NodeCpu(cpu_shares=1000), memory=NodeMemory(memory_mb=1000), disk=NodeDisk(disk_mb=10_000),
                networks=(Network(mode="host", device="lo", ip="127.0.0.1", mbits=1000),), node_networks=(at,),
            ),
        )  # fmt: skip
        self._world.later(0.4 * pause * self._world.chance.random(), lambda: self._do(self._turn))

    def __repr__(self) -> str:
        return f"node {self._node.name}"

    @property
    def is_silent(self) -> bool:
        return self._world.time < self.silent_until

    def pause(self) -> None:
        """Let the machine stand still until `resume`; what comes meanwhile waits."""
        self._stands_still = True

    def resume(self) -> None:
        """Let the machine go on, with what came meanwhile, in its order."""
        self._stands_still = False
        held, self._held = self._held, []
        for callback in held:
            callback()

    def _do(self, callback: Callable[[], None]) -> None:
        if self._stands_still:
            self._held.append(callback)
        else:
            callback()

    def _turn(self) -> None:
        """Look and tell once a pause, unless it is cut off."""
        self._world.later(self._pause, lambda: self._do(self._turn))
        host = self._cluster.leader
        if self.is_silent or host is None:
            return
        if not self._registered:
            self._ask(host, "PUT", "Node.Register", {"Node": self._node}, self._was_registered)
            return
        self._ask(host, "PUT", "Node.UpdateStatus", {"NodeID": self.id, "Status": "ready"}, self._was_heard)
        self._ask(host, "GET", f"Node.GetClientAllocs?node_id={self.id}", None, self._was_told)

    def _ask(self, host: Host, method: str, name: str, body: Any, done: Callable[[int, bytes], None]) -> None:
        def told(status: int, answer: bytes) -> None:
            if not self.is_silent:
                done(status, answer)

        def came(status: int, answer: bytes) -> None:
            self._do(lambda: told(status, answer))

        self._cluster.ask(host, method, f"/v1/agent-rpc/{name}", body, came, self._node.secret_id)

    def _was_registered(self, status: int, _body: bytes) -> None:
        self._registered = status == 200

    def _was_heard(self, status: int, body: bytes) -> None:
        if status == 500 and b"node not found" in body:
            self._registered = False

    def _was_told(self, status: int, body: bytes) -> None:
        host = self._cluster.leader
        if status != 200 or host is None:
            return
        ids = list(orjson.loads(body)["Allocs"])
        if ids:
            self._ask(host, "PUT", "Alloc.GetAllocs", {"NodeID": self.id, "AllocIDs": ids}, self._were_given)

    def _were_given(self, status: int, body: bytes) -> None:
        if status != 200:
            return
        allocations = msgspec.json.decode(orjson.dumps(orjson.loads(body)["Allocs"]), type=list[Allocation])
        updates = [update for one in allocations if (update := self._work(one)) is not None]
        host = self._cluster.leader
        if updates and host is not None:
            body_sent = {"NodeID": self.id, "Alloc": updates}
            self._ask(host, "PUT", "Node.UpdateAlloc", body_sent, lambda _status, _body: None)

    def _work(self, one: Allocation) -> dict[str, Any] | None:
        """Advance an allocation and return the update; None if there is nothing new."""
        now = BIRTH_NS + int((1000 + self._world.time) * 1e9)
        own = self._states.get(one.id, "pending")
        if one.is_server_terminal and own not in ("complete", "failed"):
            own = "complete"
        elif own == "pending" and not one.is_server_terminal:
            own = "running"
            if self.fails and self._world.chance.random() < 0.08:
                own = "failed"
        elif own == "running" and one.job_id == "batch" and self._world.chance.random() < 0.3:
            own = "complete"
        elif own == "running" and self.fails and self._world.chance.random() < 0.01:
            own = "failed"
        self._states[one.id] = own
        healthy = own == "running"
        has_health = one.deployment_status is not None and one.deployment_status.healthy is not None
        says_health = bool(one.deployment_id) and own in ("running", "failed") and not has_health
        if own == one.client_status and not says_health:
            return None
        update: dict[str, Any] = {"ID": one.id, "NodeID": self.id, "ClientStatus": own, "JobID": one.job_id}
        if own in ("failed", "complete"):
            state = {"State": "dead", "Failed": own == "failed", "FinishedAt": to_rfc3339(now)}
            update["TaskStates"] = {"t": state}
        if says_health:
            update["DeploymentStatus"] = {"Healthy": healthy, "Timestamp": to_rfc3339(now)}
        return update
