"""A server whose state differs from the leader's stops; the others go on."""

from __future__ import annotations

import pytest

from tests.simulation.world import Cluster, Server
from yurt.server.raft.agreement import Diverged


def test_a_server_with_another_state_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[tuple[str, BaseException]] = []

    def fatal(self: Server, error: BaseException) -> None:
        ended.append((self.name, error))
        self.incarnation += 1
        self.engine = None

    monkeypatch.setattr(Server, "_fatal", fatal)
    cluster = Cluster(5, 3)
    cluster.loss = cluster.repeats = cluster.slow = 0.0
    victim: Server | None = None
    while cluster.world.time < 6.0:
        cluster.world.step()
        if victim is None:
            cluster.check()
        if int(cluster.world.time * 1000) % 20 == 0:
            cluster.propose()
        followers = [one for one in cluster.servers.values() if one.engine and not one.engine.is_leader_role]
        if victim is None and cluster.world.time > 2.0:
            victim = next((one for one in followers if len(one.machine.applied) > 5), None)
            if victim is not None:
                victim.machine.applied[-1] = b"a bit has flipped in memory"
    assert victim is not None
    assert [(name, type(error)) for name, error in ended] == [(victim.name, Diverged)]
    assert "the leader's" in str(ended[0][1])
