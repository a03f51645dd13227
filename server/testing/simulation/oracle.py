"""Check on the simulated disk that each message claims only what its sender has made durable (raft-engine §4).

Reading a disk back takes time, so a share of the messages is looked at, drawn from a stream of chance of its own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from yurt.server.raft.core import messages
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.storage.hard_state import HardState, HardStateFile
from yurt.server.raft.storage.journal import Journal
from yurt.server.testing.virtual.disk import SimulatedDisk

if TYPE_CHECKING:
    from yurt.server.testing.simulation.cluster import Cluster
    from yurt.server.testing.simulation.world import Server

SHARE = 0.04  # of the messages; of the commits


class Oracle:
    """Reads disks as they would be after the worst crash."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._chance = random.Random(1)
        self.looked = 0
        self.share = SHARE

    def leaves(self, server: Server, data: bytes) -> None:
        """Raise AssertionError if a message promises what a crash would take back."""
        if self._chance.random() >= self.share:
            return
        match messages.decode(data):
            case messages.AppendAnswer(term=term, matches=True, index=index):
                self._has_term(server, term)
                self._has_log(server, index)
            case messages.VoteAnswer(term=term, granted=True, poll=False):
                self._has_vote(server, term)
            case messages.VoteRequest(term=term, poll=False):
                self._has_vote(server, term)
            case messages.HeartbeatAnswer(term=term):
                self._has_term(server, term)
            case messages.SnapshotAnswer(term=term, state=messages.INSTALLED, index=index):
                self._has_term(server, term)
                self._has_log(server, index)

    def counted(self, leader: Server, engine: Engine) -> None:
        """Raise AssertionError if the newest leader counts for a voter what that one's disk does not hold."""
        if self._chance.random() >= self.share:
            return
        matches = {name: one.match for name, one in engine.progress.items() if name in engine.voters}
        if engine.is_voter:
            matches[leader.name] = engine.own_match
        for name, match in matches.items():
            server, index = self._cluster.servers[name], min(match, engine.log.last_index)
            if server.engine is not None and engine.log.term_at(index):
                self._has_entry(server, index, engine.log.term_at(index))

    def _has_entry(self, server: Server, index: int, term: int | None) -> None:
        journal = self._journal(server)
        assert journal.last_index >= index, (
            f"{server} is counted for entry {index}, its disk ends at {journal.last_index}"
        )
        there = journal.term_at(index)
        assert there in (None, 0, term), f"{server} is counted for entry {index} of another term"

    def _journal(self, server: Server) -> Journal:
        return server.journal(self._worst(server, "log"))

    def _worst(self, server: Server, directory: str) -> SimulatedDisk:
        self.looked += 1
        kept = {path: bytes(one.safe) for path, one in server.disk.safe.items() if path.startswith(f"{directory}/")}
        return SimulatedDisk.holding(kept)

    def _hard_state(self, server: Server) -> HardState:
        return HardStateFile(self._worst(server, "hard"), "hard").load() or HardState()

    def _has_term(self, server: Server, term: int) -> None:
        known = self._hard_state(server).term
        assert known >= term, f"{server} speaks in term {term}, its disk knows {known}"

    def _has_vote(self, server: Server, term: int) -> None:
        state = self._hard_state(server)
        assert state.term == term, f"{server} votes in term {term}, its disk knows {state.term}"
        assert state.voted_for, f"{server} votes in term {term}, its disk knows of no vote"

    def _has_log(self, server: Server, index: int) -> None:
        journal = self._journal(server)
        assert journal.last_index >= index, f"{server} claims entry {index}, its disk ends at {journal.last_index}"
        assert server.engine is not None
        memory = server.engine.log.term_at(index)
        disk = journal.term_at(index)
        assert memory is None or disk is None or memory == disk, f"{server} claims entry {index} of another term"
