"""Servers that are in no configuration and speak all the same: what they say must change nothing in a member (S2).

Where connections prove nothing, a member that has had no leader for long believes them (docs/security.md): so they do
not speak to it then.
"""

from __future__ import annotations

from typing import Any

from yurt.server.raft.core import messages
from yurt.server.raft.core.configuration import pack_first
from yurt.server.raft.core.engine import Engine
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.world import Server

TERMS = (100, 10**6, 1 << 61, messages.NUMBER_MAX - 1)
SEQUENCE_MAX = 1000


def strangers(cluster: Cluster, _server: Server) -> None:
    """A stranger speaks to every server, in a term of its own choice, in the server's own or in the next one."""
    name = f"stranger-{cluster.world.chance.randrange(3)}"
    cluster.world.note(f"{name} speaks to everybody")
    for server in cluster.servers.values():
        cluster.world.later(cluster.world.chance.random(), lambda server=server: _speak(cluster, name, server))  # type: ignore[misc]


def _speak(cluster: Cluster, name: str, server: Server) -> None:
    """Say one thing to one server; it arrives at once, unless the process stands still."""
    engine = server.engine
    if engine is None:
        return
    message = forged(cluster, engine, name)

    def arrive() -> None:
        is_believed = not cluster.asks_for_proof and engine.has_long_been_leaderless()
        if not engine.stopped and engine.is_member and not is_believed:  # who is no member waits to be added
            before = standing_of(engine)
            engine.receive(name, messages.encode(message))
            assert standing_of(engine) == before, f"{server} is moved by {name}: {before} -> {standing_of(engine)}"

    server.mine(arrive)()


def forged(cluster: Cluster, engine: Engine, name: str) -> messages.Message:
    """A message that decodes, by somebody who knows the cluster's ID and the log of the server."""
    chance = cluster.world.chance
    term = chance.choice((engine.term, engine.term, engine.term + 1, *TERMS))
    last, last_term = engine.log.last_index, engine.last_term()
    common = (engine.cluster, term, chance.randrange(SEQUENCE_MAX))
    entry = (chance.choice((b"N", pack_first([[name, name, name]]))), last + 1, term)
    made: list[messages.Message] = [
        messages.Heartbeat(*common),
        messages.Append(*common, last, last_term, last + 1, [entry]),
        messages.Append(*common, 0, 0, last, []),
        messages.AppendAnswer(*common, True, last),
        messages.HeartbeatAnswer(*common),
        messages.VoteRequest(*common, last + 10, term, False, chance.random() < 0.5),
        messages.VoteRequest(*common, last + 10, term, True),
        messages.VoteAnswer(*common, True, chance.random() < 0.5),
        messages.SnapshotBegin(*common, last + 10, term, 100, 1),
        messages.SnapshotChunk(*common, last + 10, term, 0, b"a state"),
        messages.SnapshotAnswer(*common, last, last_term, 0, messages.INSTALLED),
        messages.TimeoutNow(*common),
    ]
    return chance.choice(made)


def standing_of(engine: Engine) -> tuple[Any, ...]:
    """Return the state of an engine that only a member may change."""
    return (engine.term, engine.voted_for, engine.role, engine.leader, engine.commit_index, engine.log.last_index)
