"""A server whose state differs from the leader's stops; the others go on."""

from __future__ import annotations

from yurt.server.raft.core.agreement import Diverged
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server


def test_a_server_with_another_state_stops() -> None:
    cluster = Cluster(5, 3, plain=True)
    cluster.expects_end = True
    victim: Server | None = None
    while cluster.world.time < 6.0:
        if victim is None:
            cluster.step()
        else:
            cluster.world.step()
        if int(cluster.world.time * 1000) % 20 == 0:
            cluster.clients.write()
        followers = [one for one in cluster.servers.values() if one.engine and not one.engine.is_leader_role]
        if victim is None and cluster.world.time > 2.0:
            victim = next((one for one in followers if len(one.machine.applied) > 5), None)
            if victim is not None:
                victim.machine.applied[-1] = b"a bit has flipped in memory"
    assert victim is not None
    assert [(name, type(error)) for name, error in cluster.ends] == [(victim.name, Diverged)]
    assert "the leader's" in str(cluster.ends[0][1])
