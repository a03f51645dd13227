"""The operators' actions while all goes on: members come and go, leadership is handed over, states are restored."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from yurt.server.raft.core.engine import Engine
from yurt.server.testing.simulation.cluster import SERVERS_MAX, Cluster
from yurt.server.testing.simulation.world import Server


def _nobody_waits(_result: Any, _error: Exception | None) -> None:
    """The operator looks at the cluster, not at the answer."""


def change_members(cluster: Cluster) -> None:
    """Add a machine, let one come back that was taken out, or take one out, the leader too."""
    chance, leader = cluster.world.chance, cluster.leader
    if leader is None or leader.is_paused or leader.engine is None or cluster.replacing:
        return
    for _ in range(chance.choice((1, 1, 3))):  # an operator in a hurry: only the first may be taken
        _change(cluster, leader, leader.engine)


def _change(cluster: Cluster, leader: Server, engine: Engine) -> None:
    chance = cluster.world.chance
    members = [one[0] for one in engine.configuration]
    outside = [name for name, one in cluster.servers.items() if name not in members and not one.is_scrapped]
    if chance.random() < 0.5 and len(engine.voters) > 1:
        gone = chance.choice(members)
        cluster.world.note(f"{leader} takes {gone} out")
        engine.remove_server(gone, _nobody_waits)
    else:
        if not outside and len(cluster.servers) < SERVERS_MAX:
            outside = [cluster.add_machine(f"s{len(cluster.servers)}").name]
        if outside:
            name = chance.choice(outside)
            cluster.world.note(f"{leader} takes {name} in")
            engine.add_server(name, name, name, _nobody_waits)


def hand_over(cluster: Cluster) -> None:
    """Give the leadership to somebody, or to whoever is furthest."""
    leader = cluster.leader
    if leader is None or leader.is_paused or leader.engine is None:
        return
    target = cluster.world.chance.choice([None, *cluster.servers])
    cluster.world.note(f"{leader} hands over to {target}")
    leader.engine.transfer(target, _nobody_waits)


def restore(cluster: Cluster) -> None:
    """Bring a whole state into the log, in several pieces."""
    leader = cluster.leader
    if leader is None or leader.is_paused or leader.engine is None:
        return
    packed = zlib.compress(b"state %d" % cluster.world.chance.randrange(10**6))
    cluster.world.note(f"{leader} restores a state")
    leader.engine.restore_state([packed[at : at + 4] for at in range(0, len(packed), 4)], _nobody_waits)


WORK: dict[str, tuple[Callable[[Cluster], None], float]] = {  # with the seconds between two, on average
    "change members": (change_members, 1.5),
    "hand over": (hand_over, 1.5),
    "restore": (restore, 2.0),
}
