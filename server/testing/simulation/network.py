"""The network: it delays, loses, repeats and reorders messages, and lets some pass in one direction only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yurt.server.testing.simulation.oracle import Oracle

if TYPE_CHECKING:
    from yurt.server.testing.simulation.cluster import Cluster
    from yurt.server.testing.simulation.world import Server


class Network:
    """Links between all servers, members or not."""

    def __init__(self, cluster: Cluster) -> None:
        chance = cluster.world.chance
        self._cluster, self._world = cluster, cluster.world
        self.loss = chance.choice((0.0, 0.0, 0.02, 0.1))
        self.repeats = chance.choice((0.0, 0.05))
        self.delay = chance.choice((0.001, 0.005, 0.05))
        self.late = chance.choice((0.0, 0.0, 0.02))  # share of messages that come much later
        self.late_to = chance.choice(("s", "s", "s0"))  # receivers, by how their names begin
        self.cut: set[tuple[str, str]] = set()
        self.slow: dict[str, float] = {}  # by server: seconds that everything to and from it takes longer
        self.keeps_flying = chance.random() < 0.5  # what is on its way when a link is cut arrives all the same
        # On each link, as over one connection, but for what is late; drawn without moving what else a seed draws.
        self.in_order = bool(chance.getstate()[1][0] & 1)
        self._arrives: dict[tuple[str, str], float] = {}  # by link: when what was sent last gets there
        self.oracle = Oracle(cluster)

    def calm(self, delay: float) -> None:
        """Nothing is lost, repeated or late any more."""
        self.cut, self.loss, self.repeats, self.late, self.delay = set(), 0.0, 0.0, 0.0, delay
        self.slow = {}

    def send(self, sender: Server, receiver: str, data: bytes) -> None:
        """One message leaves; what it claims must be on the sender's disk."""
        chance = self._world.chance
        self.oracle.leaves(sender, data)
        for _ in range(2 if chance.random() < self.repeats else 1):
            if chance.random() < self.loss:
                continue
            delay = self.delay * (0.2 + 2 * chance.random())
            delay += max(self.slow.get(sender.name, 0.0), self.slow.get(receiver, 0.0))
            if receiver.startswith(self.late_to) and chance.random() < self.late:
                delay += 2.0 * chance.random()
            elif self.in_order:
                link = (sender.name, receiver)
                at = self._arrives[link] = max(self._world.time + delay, self._arrives.get(link, 0.0))
                delay = at - self._world.time
            if not self.keeps_flying or (sender.name, receiver) not in self.cut:
                self._world.later(delay, lambda: self._arrive(sender.name, receiver, data))

    def _arrive(self, sender: str, receiver: str, data: bytes) -> None:
        target = self._cluster.servers.get(receiver)
        if target is None or target.engine is None or (not self.keeps_flying and (sender, receiver) in self.cut):
            return
        engine = target.engine
        target.mine(lambda: engine.receive(sender, data))()

    def connected(self, server: Server) -> None:
        """It reaches everybody who runs."""
        for other in self._cluster.servers.values():
            if other is not server and other.engine is not None and server.engine is not None:
                other.engine.peer_connected(server.name)
                server.engine.peer_connected(other.name)

    def disconnected(self, server: Server) -> None:
        """Everybody sees its connections break."""
        for other in self._cluster.servers.values():
            if other is not server and other.engine is not None:
                other.engine.peer_disconnected(server.name)
