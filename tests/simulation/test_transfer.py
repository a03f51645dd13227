"""Leadership is handed over without an election timeout, also to a follower that answers last."""

from __future__ import annotations

from typing import Any

import pytest

from yurt.server.testing.simulation.cluster import Cluster


@pytest.mark.parametrize("seed", range(8))
def test_the_slower_follower_takes_over(seed: int) -> None:
    cluster = Cluster(seed, 3, plain=True)
    cluster.run_until(3.0)
    leader = next(one for one in cluster.servers.values() if one.engine is not None and one.engine.is_ready)
    target = next(name for name in cluster.servers if name != leader.name)
    cluster.servers[target].disk_seconds = 0.03  # the other one completes every majority
    for _ in range(20):
        cluster.clients.write()
    cluster.run_until(cluster.world.time + 0.001)
    assert leader.engine is not None and leader.engine.log.last_index > leader.engine.commit_index
    answers: list[Any] = []
    began = cluster.world.time
    leader.engine.transfer(target, lambda result, error: answers.append((cluster.world.time - began, result, error)))
    cluster.run_until(began + 1.0)
    assert answers and answers[0][1:] == (target, None)
    assert answers[0][0] < 0.3
    engine = cluster.servers[target].engine
    assert engine is not None and engine.is_ready
