"""A disk that needs a second for a sync is slow, not fatal."""

from __future__ import annotations

import pytest

from tests.simulation.cluster import Cluster
from tests.simulation.swarm import Swarm


@pytest.mark.parametrize("seed", range(4))
def test_a_server_alone_leads_on_a_slow_disk(seed: int) -> None:
    cluster = Cluster(seed, Swarm(size=1, disk_seconds=1.2))
    cluster.world.run_until(8.0)
    assert cluster.leaders()


@pytest.mark.parametrize("seed", range(4))
def test_a_leader_stays_when_all_disks_become_slow(seed: int) -> None:
    cluster = Cluster(seed, Swarm(size=3))
    cluster.clients.begin()
    cluster.world.run_until(3.0)
    before = dict(cluster.invariants.leaders)
    for server in cluster.servers.values():
        server.disk_seconds = 1.0
    acknowledged = cluster.clients.counts["writes acknowledged"]
    cluster.world.run_until(9.0)
    assert cluster.invariants.leaders == before
    assert cluster.clients.counts["writes acknowledged"] > acknowledged
