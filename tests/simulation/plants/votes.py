"""Bugs of elections (spec raft-engine §5, §10: 5 to 9)."""

from __future__ import annotations

from tests.simulation.plants.plant import CHAIRS, Patch, Plant
from yurt.server.raft.core.admission import LEADERS_KINDS, Admission
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.messages import Message, VoteAnswer, VoteRequest
from yurt.server.raft.core.state import CANDIDATE
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage.hard_state import HardState, HardStateFile

LOAD, REFUSES = HardStateFile.load, Admission.reason_to_refuse


def _votes_twice(patch: Patch) -> None:
    def on_vote_request(self: Engine, peer: Peer, message: VoteRequest) -> None:
        if message.poll:
            self._answer_poll(peer, message)
            return
        if message.term > self.term:
            self.step_down(message.term)
        granted = message.term == self.term and self.is_current(message) and not self.is_leader_role
        answer = VoteAnswer(self.cluster, self.term, message.sequence, granted)
        if granted:
            self.hold(self.set_term(self.term, peer.id), lambda: self.send_message(peer, answer))
        else:
            self.send_message(peer, answer)

    patch(Engine, "on_vote_request", on_vote_request)


def _forgets_its_vote(patch: Patch) -> None:
    def load(self: HardStateFile, *, required: bool = False) -> HardState | None:
        found = LOAD(self, required=required)
        return found and HardState(found.term, None)

    patch(HardStateFile, "load", load)
    patch(Engine, "is_paused", lambda self: False)


def _counts_answers(patch: Patch) -> None:
    def counted(self: Engine, what: str) -> bool:
        tally = self.__dict__.setdefault("tally", {})
        key = (what, self.polling if what == "poll" else self.term)
        tally[key] = tally.get(key, 1) + 1
        return bool(tally[key] >= self.quorum())

    def on_vote_answer(self: Engine, peer: Peer, message: VoteAnswer) -> None:
        if not message.granted:
            return
        if message.poll and message.term == self.polling == self.term + 1 and counted(self, "poll"):
            self.campaign()
        elif not message.poll and self.role == CANDIDATE and message.term == self.term and counted(self, "vote"):
            self._lead()

    patch(Engine, "on_vote_answer", on_vote_answer)


def _half_is_a_quorum(patch: Patch) -> None:
    patch(Engine, "quorum", lambda self: (len(self.voters) + 1) // 2)


def _index_before_term(patch: Patch) -> None:
    def is_current(self: Engine, message: VoteRequest) -> bool:
        return message.last_index >= self.log.last_index

    patch(Engine, "is_current", is_current)


def _leads_alone_at_once(patch: Patch) -> None:
    patch(Engine, "is_alone", lambda self: self.voters == {self.own.id})


def _anybody_raises_the_term(patch: Patch) -> None:
    patch(Admission, "reason_to_refuse", lambda self, sender, message: "")


def _anybody_leads_the_leaderless(patch: Patch) -> None:
    def reason_to_refuse(self: Admission, sender: str, message: Message) -> str:
        here = self._standing
        is_of_this_term = message.term == here.term and isinstance(message, LEADERS_KINDS)
        return "" if is_of_this_term and not here.hears_a_leader() else REFUSES(self, sender, message)

    patch(Admission, "reason_to_refuse", reason_to_refuse)


PLANTS = (
    Plant("a stranger raises the term", _anybody_raises_the_term, seed=3),
    Plant("a stranger leads in the term of a leaderless member", _anybody_leads_the_leaderless, seed=3),
    Plant("a second vote in a term", _votes_twice, seed=34),
    Plant("a restart forgets the vote", _forgets_its_vote, seed=2),
    Plant(
        "answers are counted, not voters",
        _counts_answers,
        seed=8,
        size=5,
        faults=("split", "crash"),
        settings={"repeats": 0.5},
    ),
    Plant("half is a quorum", _half_is_a_quorum, seed=13, size=4),
    Plant("the index goes before the term", _index_before_term, seed=18, faults=CHAIRS),
    Plant(
        "the only voter leads at once after a restart",
        _leads_alone_at_once,
        seed=30,
        size=2,
        faults=("crash", "split"),
        work=("change members",),
        settings={"pause": 0.3, "loss": 0.1, "delay": 0.05},
    ),
)
