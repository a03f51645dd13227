"""The faults of whole machines: they stand still for minutes, or lose their disk and come back as another server."""

from __future__ import annotations

from typing import Any

from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server

STALL_SECONDS = (20.0, 60.0, 150.0)
OPERATOR_SECONDS = 0.4  # between two looks of the operator who replaces a server
REPLACED_MAX = 3  # in one life
VOTERS_MIN = 3  # without a lost disk fewer are no majority


def stall(cluster: Cluster, server: Server) -> None:
    """A machine stands still for minutes, one at a time; it wakes in the middle of what it did, with a log of then."""
    if server.engine is None or server.is_paused or cluster.wakes_at > cluster.world.time:
        return
    incarnation, seconds = server.incarnation, cluster.world.chance.choice(STALL_SECONDS)
    cluster.wakes_at = cluster.world.time + seconds
    cluster.world.note(f"{server} stands still until {cluster.wakes_at:.3f}")
    server.pause()
    cluster.world.later(seconds, lambda: server.resume() if server.incarnation == incarnation else None)


def replace_disk(cluster: Cluster, server: Server) -> None:
    """A voter's disk is gone for good: the machine comes back empty, as a new server, and the old one is taken out.

    Only while nobody else is being replaced: what is acknowledged lies on a majority, which bears the loss of one.
    """
    leader = cluster.leader
    if leader is None or leader.engine is None or cluster.replacing or cluster.replaced >= REPLACED_MAX:
        return
    engine = leader.engine
    if server.name not in engine.voters or len(engine.voters) < VOTERS_MIN or engine.has_pending_change():
        return
    cluster.replaced += 1
    cluster.world.note(f"the disk of {server} is lost")
    if server.engine is not None:
        server.crash()
    come_back(cluster, server)


def come_back(cluster: Cluster, server: Server) -> None:
    """The machine's data directory is empty, so its server has another ID: never the old one's vote."""
    cluster.replacing = server.name
    server.is_scrapped = True
    new = cluster.add_machine(f"s{len(cluster.servers)}")
    cluster.world.later(OPERATOR_SECONDS, lambda: _operate(cluster, server.name, new.name))


def _operate(cluster: Cluster, old: str, new: str) -> None:
    """Take the old server out, then the new one in, until it votes; whoever leads is asked again and again."""
    leader = cluster.leader
    if leader is not None and leader.engine is not None and not leader.is_paused:
        engine = leader.engine
        names = [one[0] for one in engine.configuration]
        if old in names:
            engine.remove_server(old, _nobody_waits)
        elif new not in names:
            engine.add_server(new, new, new, _nobody_waits)
        elif new in engine.voters and not engine.has_pending_change():
            cluster.world.note(f"{new} has replaced {old}")
            cluster.replacing = ""
            return
    cluster.world.later(OPERATOR_SECONDS, lambda: _operate(cluster, old, new))


def _nobody_waits(_result: Any, _error: Exception | None) -> None:
    """The operator looks at the cluster, not at the answer."""
