"""Bugs planted on purpose: a simulation that does not find them proves nothing (spec raft-engine §10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.scenario import run
from yurt.server.raft import engine
from yurt.server.raft.engine import Engine
from yurt.server.raft.frame import CANDIDATE, Peer
from yurt.server.raft.messages import Append, VoteAnswer
from yurt.server.raft.state import EngineState

SEEDS_MAX = 600


def nothing_waits_for_the_disk(self: EngineState, lsn: int, send: Callable[[], None]) -> None:
    send()


def the_leader_counts_what_it_appended(self: Engine, entries: list[Any]) -> int:
    lsn = EngineState.append_entries(self, entries)
    if self.is_leader_role:
        self.own_match = entries[-1][1]
    return lsn


def a_second_vote_in_a_term(self: Engine, peer: Peer, message: Any) -> None:
    if message.term > self.term:
        self.step_down(message.term)
    newer = (message.last_term, message.last_index) >= (self.last_term(), self.log.last_index)
    self.send_message(peer, VoteAnswer(self.cluster, self.term, message.sequence, newer))


def votes_are_counted_by_message(self: Engine, peer: Peer, message: VoteAnswer) -> None:
    if self.role == CANDIDATE and message.term == self.term and message.granted:
        self.tally = getattr(self, "tally", {})
        self.tally[self.term] = self.tally.get(self.term, 1) + 1
        if self.tally[self.term] >= self.quorum():
            self._lead()


def half_is_a_quorum(self: EngineState) -> int:
    return (len(self.configuration) + 1) // 2


def the_index_goes_before_the_term(self: Engine, peer: Peer, message: Any) -> None:
    if message.term > self.term:
        self.step_down(message.term)
    newer = message.last_index >= self.log.last_index
    free = self.voted_for in (None, peer.id)
    granted = message.term == self.term and newer and free and not self.is_leader_role
    answer = VoteAnswer(self.cluster, self.term, message.sequence, granted)
    if granted:
        self.reset_election_timer()
        self.hold(self.set_term(self.term, peer.id), lambda: self.send_message(peer, answer))
    else:
        self.send_message(peer, answer)


def everything_after_previous_is_cut(self: Engine, peer: Peer, message: Append) -> None:
    if message.term == self.term and self.commit_index <= message.previous_index < self.log.last_index:
        self.cut_entries(message.previous_index + 1)
    ORIGINALS["on_append"](self, peer, message)


def the_commit_index_is_taken_from_the_logs_end(self: Engine, peer: Peer, message: Append) -> None:
    ORIGINALS["on_append"](self, peer, message)
    if message.term == self.term and message.commit_index > self.commit_index:
        self.commit_to(min(message.commit_index, self.log.last_index))


SIZES = {"votes_are_counted_by_message": 5}  # needs a majority of which one may be missing
ORIGINALS = {"on_append": Engine.on_append}
PLANTS: list[tuple[str, Any]] = [
    ("hold", nothing_waits_for_the_disk),
    ("append_entries", the_leader_counts_what_it_appended),
    ("on_vote_request", a_second_vote_in_a_term),
    ("on_vote_answer", votes_are_counted_by_message),
    ("quorum", half_is_a_quorum),
    ("on_vote_request", the_index_goes_before_the_term),
    ("on_append", everything_after_previous_is_cut),
    ("on_append", the_commit_index_is_taken_from_the_logs_end),
]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "plant"), PLANTS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, name: str, plant: Any) -> None:
    monkeypatch.setattr(Engine, name, plant)
    if name.startswith("on_"):
        for kind, handler in engine._HANDLERS.items():
            if handler.__name__ == name:
                monkeypatch.setitem(engine._HANDLERS, kind, plant)
                break
    for seed in range(SEEDS_MAX):
        try:
            run(seed, size=SIZES.get(plant.__name__, 0))
        except AssertionError:
            return
    pytest.fail(f"{plant.__name__} was not found in {SEEDS_MAX} seeds")
