"""Bugs that lose nothing and stop everything (spec raft-engine §10)."""

from __future__ import annotations

from typing import Any

from tests.simulation.plants.plant import ROUGH, SILENT, Patch, Plant
from yurt.server.raft.core import election
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.messages import AppendAnswer, HeartbeatAnswer, VoteAnswer, VoteRequest
from yurt.server.raft.core.state import Progress
from yurt.server.raft.peer import Peer

ON_APPEND, ON_APPEND_ANSWER, ON_HEARTBEAT = Engine.on_append, Engine.on_append_answer, Engine.on_heartbeat
SEND_ENTRIES, RESEND = Engine.send_entries, Engine.resend
ON_VOTE_REQUEST, ON_SNAPSHOT_ANSWER, ANSWER_POLL = (
    Engine.on_vote_request,
    Engine.on_snapshot_answer,
    Engine._answer_poll,
)


def _lower_terms_get_no_answer(patch: Patch) -> None:
    def silent(handler: Any) -> Any:
        def handle(self: Engine, peer: Peer, message: Any) -> None:
            if message.term >= self.term:
                handler(self, peer, message)

        return handle

    patch(Engine, "on_append", silent(ON_APPEND))
    patch(Engine, "on_heartbeat", silent(ON_HEARTBEAT))
    patch(Engine, "on_vote_request", silent(ON_VOTE_REQUEST))


def _refused_polls_name_no_term(patch: Patch) -> None:
    def answer_poll(self: Engine, peer: Peer, message: VoteRequest) -> None:
        if message.term > self.term and self.is_current(message) and not self.hears_a_leader() and not self.is_paused():
            ANSWER_POLL(self, peer, message)
        else:
            self.send_message(peer, VoteAnswer(self.cluster, 0, message.sequence, False, True))

    patch(Engine, "_answer_poll", answer_poll)


def _next_is_not_clamped(patch: Patch) -> None:
    def on_append_answer(self: Engine, peer: Peer, message: AppendAnswer) -> None:
        progress = self.progress.get(peer.id)
        if self.is_leader_role and progress is not None and message.term == self.term and not message.matches:
            progress.next = message.index
            self._probe(progress)
            self.send_entries(progress)
        else:
            ON_APPEND_ANSWER(self, peer, message)

    patch(Engine, "on_append_answer", on_append_answer)
    patch(Engine, "resend", lambda self, progress: self.send_entries(progress))


def _chunks_are_no_sign_of_life(patch: Patch) -> None:
    def on_heartbeat(self: Engine, peer: Peer, message: Any) -> None:
        if self.incoming is None:
            ON_HEARTBEAT(self, peer, message)
        elif message.term == self.term:
            self.follow(peer, message.term)

    def on_snapshot_answer(self: Engine, peer: Peer, message: Any) -> None:
        progress = self.progress.get(peer.id)
        if progress is not None:
            progress.heartbeats.pop(message.sequence, None)
        ON_SNAPSHOT_ANSWER(self, peer, message)

    patch(Engine, "on_heartbeat", on_heartbeat)
    patch(Engine, "on_snapshot_answer", on_snapshot_answer)


def _heartbeats_wait_for_the_disk(patch: Patch) -> None:
    def on_heartbeat(self: Engine, peer: Peer, message: Any) -> None:
        if message.term == self.term:
            self.follow(peer, message.term)
        answer = HeartbeatAnswer(self.cluster, self.term, message.sequence)
        self.hold(self._issued_lsn, lambda: self.send_message(peer, answer))

    patch(Engine, "on_heartbeat", on_heartbeat)


def _hand_overs_never_end(patch: Patch) -> None:
    patch(Engine, "_give_up", lambda self: None)


def _late_proofs_are_thrown_away(patch: Patch) -> None:
    def on_append_answer(self: Engine, peer: Peer, message: AppendAnswer) -> None:
        progress = self.progress.get(peer.id)
        if progress is not None and message.sequence in progress.inflight:
            ON_APPEND_ANSWER(self, peer, message)

    patch(Engine, "on_append_answer", on_append_answer)


def _commits_count_as_told_when_sent(patch: Patch) -> None:
    """Whatever the message proves, and whether or not it arrives; and a lost probe begins at what is proved."""

    def send_entries(self: Engine, progress: Progress) -> None:
        before = self.sequence
        SEND_ENTRIES(self, progress)
        if self.sequence > before:
            progress.commit_sent = self.commit_index

    def resend(self: Engine, progress: Progress) -> None:
        flight = next(iter(progress.inflight.values()), None)
        if progress.probing and flight is not None and self.runtime.now() - flight.at > 4 * self.config.heartbeat:
            progress.next = progress.match + 1
        RESEND(self, progress)

    patch(Engine, "send_entries", send_entries)
    patch(Engine, "resend", resend)
    patch(Progress, "forget_inflight", lambda self: self.inflight.clear())


def _nobody_grows_patient(patch: Patch) -> None:
    patch(election, "PATIENCE_MAX", 0)


PLANTS = (
    Plant(
        "messages of lower terms get no answer",
        _lower_terms_get_no_answer,
        seed=15,
        work=(),
        faults=("cut at the word",),
    ),
    Plant(
        "refused polls name no term",
        _refused_polls_name_no_term,
        seed=70,
        size=3,
        faults=ROUGH,
        settings={"one_is_gone": True},
    ),
    Plant("the next index is not clamped", _next_is_not_clamped, seed=2, settings={"snapshot_entries": 10_000}),
    Plant(
        "chunks are no sign of life",
        _chunks_are_no_sign_of_life,
        seed=51,
        size=3,
        work=(),
        faults=("crash",),
        settings={"calm_delay": 0.05, "one_is_gone": True, "snapshot_entries": 20},
    ),
    Plant("heartbeats wait for the disk", _heartbeats_wait_for_the_disk, seed=1, settings={"calm_disk_seconds": 0.8}),
    Plant("a hand-over never ends", _hand_overs_never_end, seed=51, work=("hand over",)),
    Plant(
        "elections that fail make nobody patient", _nobody_grows_patient, seed=1, settings={"calm_disk_seconds": 0.8}
    ),
    Plant(
        "a commit index counts as told when it is sent",
        _commits_count_as_told_when_sent,
        seed=3,
        faults=SILENT,
        settings={"message_bytes": 100, "snapshot_entries": 10_000},
    ),
    Plant(
        "late proofs are thrown away",
        _late_proofs_are_thrown_away,
        seed=13,
        size=3,
        faults=("crash", "cut link"),
        settings={"message_bytes": 100, "between_writes": 0.006, "calm_disk_seconds": 0.8},
    ),
)
