"""Bugs planted on purpose: a simulation that does not find them proves nothing (spec raft-engine §10).

A plant takes a property away, with every twin that would hide its loss. One file a part of the engine.
"""

from __future__ import annotations

from tests.simulation.plants import liveness, members, reads, replication, snapshots, storage, votes
from tests.simulation.plants.plant import Plant

PLANTS: tuple[Plant, ...] = (
    *storage.PLANTS,
    *votes.PLANTS,
    *replication.PLANTS,
    *snapshots.PLANTS,
    *members.PLANTS,
    *reads.PLANTS,
    *liveness.PLANTS,
)
