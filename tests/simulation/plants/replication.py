"""Bugs of appends, answers and commits (spec raft-engine §4, §10: 10 to 14)."""

from __future__ import annotations

import msgspec

from tests.simulation.plants.plant import ROUGH, Patch, Plant
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.messages import Append, AppendAnswer
from yurt.server.raft.peer import Peer

ON_APPEND, ON_APPEND_ANSWER, ANSWER_APPEND = Engine.on_append, Engine.on_append_answer, Engine._answer_append


def _commits_older_terms(patch: Patch) -> None:
    def advance_commit(self: Engine) -> None:
        if self.is_leader_role:
            matches = [one.match for server, one in self.progress.items() if server in self.voters]
            matches.extend([self.own_match] if self.is_voter else [])
            index = sorted(matches, reverse=True)[self.quorum() - 1]
            if index > self.commit_index:
                self.commit_to(index)
                self.replicate()

    patch(Engine, "advance_commit", advance_commit)


def _cuts_all_after_previous(patch: Patch) -> None:
    def on_append(self: Engine, peer: Peer, message: Append) -> None:
        if message.term == self.term and self.commit_index <= message.previous_index < self.log.last_index:
            self.cut_entries(message.previous_index + 1)
        ON_APPEND(self, peer, message)

    patch(Engine, "on_append", on_append)


def _believes_late_answers(patch: Patch) -> None:
    def on_append_answer(self: Engine, peer: Peer, message: AppendAnswer) -> None:
        progress = self.progress.get(peer.id)
        if self.is_leader_role and progress is not None and message.matches:
            progress.match = max(progress.match, min(message.index, self.log.last_index))
            self.advance_commit()
        ON_APPEND_ANSWER(self, peer, message)

    patch(Engine, "on_append_answer", on_append_answer)


def _commits_to_the_logs_end(patch: Patch) -> None:
    def on_append(self: Engine, peer: Peer, message: Append) -> None:
        ON_APPEND(self, peer, message)
        if message.term == self.term and message.commit_index > self.commit_index:
            self.commit_to(min(message.commit_index, self.log.last_index))

    patch(Engine, "on_append", on_append)


def _claims_the_logs_end(patch: Patch) -> None:
    def answer(self: Engine, peer: Peer, message: Append, _matched: int) -> None:
        ANSWER_APPEND(self, peer, message, self.log.last_index)

    def on_append_answer(self: Engine, peer: Peer, message: AppendAnswer) -> None:
        ON_APPEND_ANSWER(self, peer, msgspec.structs.replace(message, index=min(message.index, self.log.last_index)))

    patch(Engine, "_answer_append", answer)
    patch(Engine, "on_append_answer", on_append_answer)


# Found by tests of the engine alone: lives in which they show are too rare to wait for.
LOG_END = Plant("an answer claims the log's end", _claims_the_logs_end, settings={"message_bytes": 100})
LATE_ANSWERS = Plant("answers of earlier terms count", _believes_late_answers)

PLANTS = (
    Plant(
        "entries of older terms are committed by count",
        _commits_older_terms,
        seed=0,
        size=5,
        faults=ROUGH,
        settings={"message_bytes": 1},
    ),
    Plant("all after the previous entry is cut", _cuts_all_after_previous, seed=2),
    Plant("the commit index goes to the log's end", _commits_to_the_logs_end, seed=18),
)
