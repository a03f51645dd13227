"""Bugs of what is durable and when (spec raft-engine §7, §10: 1 to 4, 25)."""

from __future__ import annotations

from typing import Any

from tests.simulation.plants.plant import ROUGH, Patch, Plant, rewritten
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.messages import Append, AppendAnswer, VoteRequest
from yurt.server.raft.core.state import EngineState
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage import records, segments

ON_VOTE_REQUEST = Engine.on_vote_request


def _answers_before_the_sync(patch: Patch) -> None:
    def answer(self: Engine, peer: Peer, message: Append, matched: int) -> None:
        self.send_message(peer, AppendAnswer(self.cluster, self.term, message.sequence, True, matched))

    patch(Engine, "_answer_append", answer)


def _counts_at_append(patch: Patch) -> None:
    def append_entries(self: Engine, entries: list[Any]) -> int:
        lsn = EngineState.append_entries(self, entries)
        if self.is_leader_role:
            self.own_match = entries[-1][1]
        return lsn

    patch(Engine, "append_entries", append_entries)


def _votes_before_the_sync(patch: Patch) -> None:
    def on_vote_request(self: Engine, peer: Peer, message: VoteRequest) -> None:
        self.__dict__["hold"] = lambda _lsn, send: send()
        try:
            ON_VOTE_REQUEST(self, peer, message)
        finally:
            del self.__dict__["hold"]

    patch(Engine, "on_vote_request", on_vote_request)


def _durable_by_index(patch: Patch) -> None:
    def cut_entries(self: Engine, index: int) -> None:
        assert index > self.commit_index
        self.issue(self.log.cut(index))
        if self.configurations.cut(index):
            self.configuration_changed()

    patch(Engine, "cut_entries", cut_entries)


def _cuts_are_not_durable(patch: Patch) -> None:
    """What is cut stays on the disk until it is written over, and no chain tells old records from new ones."""
    patch(segments.Segments, "_trim", lambda self, file, segment: None)
    record_crc = records._record_crc
    patch(records, "_record_crc", lambda chain, index, term, payload: record_crc(0, index, term, payload))
    scan = rewritten(
        records.scan_segment,
        ("if crc != zlib", "if False and crc != zlib"),
        ("if batch.number <= number:", "if False:"),
        ("segment.last_index + 1, term)", "segment.last_index + 1, 0)"),
        ("if torn and (later", "if False and (later"),
    )
    patch(segments, "scan_segment", scan)


# Found by a test of the journal alone: lives in which it shows are too rare to wait for.
CUTS = Plant("cuts are not durable", _cuts_are_not_durable)

PLANTS = (
    Plant("an append is answered before its sync", _answers_before_the_sync, seed=1),
    Plant("the leader counts itself at the append", _counts_at_append, seed=2),
    Plant("a vote leaves before its sync", _votes_before_the_sync, seed=5),
    Plant("what is durable is known by index", _durable_by_index, seed=155, faults=ROUGH, settings={"share": 1.0}),
)
