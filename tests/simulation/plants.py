"""Bugs planted on purpose: a simulation that does not find them proves nothing (spec raft-engine §10).

A plant takes a property away, with every twin that would hide its loss. `focus` are the lives in which it can show.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.simulation.scenario import Life
from yurt.server.raft import records, segments
from yurt.server.raft.engine import Engine
from yurt.server.raft.frame import CANDIDATE, Peer
from yurt.server.raft.hardstate import HardState, HardStateFile
from yurt.server.raft.messages import INSTALLED, Append, AppendAnswer, HeartbeatAnswer, VoteAnswer, VoteRequest
from yurt.server.raft.snapshots import SnapshotStore
from yurt.server.raft.state import EngineState, Progress

Patch = Callable[[Any, str, Any], None]

ON_APPEND, ON_APPEND_ANSWER, ON_HEARTBEAT = Engine.on_append, Engine.on_append_answer, Engine.on_heartbeat
ON_VOTE_REQUEST, ON_SNAPSHOT_ANSWER = Engine.on_vote_request, Engine.on_snapshot_answer
CONFIGURATION_CHANGED, COMMIT_TO, TAKE_SNAPSHOT = Engine.configuration_changed, Engine.commit_to, Engine.take_snapshot
RECEIVE, PEER_CONNECTED = Engine.receive, Engine.peer_connected
CLOCK: list[Callable[[], float]] = [lambda: 0.0]  # of the server that handles a message
ANSWER_APPEND, ANSWER_POLL, LOAD = Engine._answer_append, Engine._answer_poll, HardStateFile.load


@dataclass(frozen=True)
class Plant:
    """`name` says what is wrong; `sow` puts it in by `patch(owner, attribute, value)`; `seed` is one that finds it."""

    name: str
    sow: Callable[[Patch], None]
    seed: int = 0
    size: int = 0
    faults: tuple[str, ...] = ()
    work: tuple[str, ...] | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def life(self, seed: int) -> Life:
        """A life of the focus."""
        return Life(seed, size=self.size, faults=self.faults, work=self.work, settings=self.settings)


def rewritten(function: Any, *pairs: tuple[str, str]) -> Any:
    """The function with pieces of its text replaced."""
    source = inspect.getsource(function)
    for old, new in pairs:
        assert old in source, f"{function.__name__} has no {old}"
        source = source.replace(old, new)
    namespace: dict[str, Any] = {}
    exec(compile(source, f"<{function.__name__}, rewritten>", "exec"), function.__globals__, namespace)
    return namespace[function.__name__]


# --- what is durable


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


# --- votes


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


# --- commits


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


# --- snapshots


def _looks_from_the_beginning(patch: Patch) -> None:
    """Whatever is proved, a connection begins at the first entry, which is long gone: like a refusal that comes late."""

    def peer_connected(self: Engine, server_id: str) -> None:
        PEER_CONNECTED(self, server_id)
        if progress := self.progress.get(server_id):
            progress.next = 1
            progress.inflight.clear()
            self.send_entries(progress)

    patch(Engine, "peer_connected", peer_connected)


def _installs_older(patch: Patch) -> None:
    _looks_from_the_beginning(patch)

    def take_over(self: Engine, snapshot: Any, loaded: Any) -> None:
        self.issue(self.log.reset(snapshot.index, snapshot.term))
        self.own_match = snapshot.index
        self.machine.swap(loaded)
        self.snapshot = snapshot
        self.commit_index = self.last_applied = snapshot.index
        self.forget_entry()
        self.rebuild_configurations()
        self.forget_digest()

    patch(Engine, "_is_needless", lambda self, peer, message: False)
    patch(Engine, "_take_over", take_over)


def _drops_a_longer_log(patch: Patch) -> None:
    _looks_from_the_beginning(patch)

    def is_needless(self: Engine, peer: Peer, message: Any) -> bool:
        if message.index <= self.commit_index:
            self._answer_snapshot(peer, message, INSTALLED)
        return bool(message.index <= self.commit_index)

    def take_over(self: Engine, snapshot: Any, loaded: Any) -> None:
        if snapshot.index > self.commit_index:
            self._held.clear()
            self._unsynced.clear()
            self.issue(self.log.reset(snapshot.index, snapshot.term))
            self.own_match = snapshot.index
            self.machine.swap(loaded)
            self.snapshot = snapshot
            self.commit_index = self.last_applied = snapshot.index
            self.forget_entry()
            self.end_waiting()
            self.rebuild_configurations()
            self.forget_digest()
            self.schedule_apply()

    patch(Engine, "_is_needless", is_needless)
    patch(Engine, "_take_over", take_over)


def _overlooks_a_bad_checksum(patch: Patch) -> None:
    patch(SnapshotStore, "verify", lambda self, path: self._metadata(path)[0])


def _acknowledges_a_snapshot_at_once(patch: Patch) -> None:
    def install(self: Engine, have: Any, message: Any) -> None:
        self._answer_snapshot(have.peer, message, INSTALLED)
        self.drop_incoming()

    patch(Engine, "_install", install)


def _keeps_one_snapshots_log(patch: Patch) -> None:
    def drop_log(self: Engine) -> None:
        upto = min(self._before_trailing(self.snapshot.index), self.last_applied)
        if upto >= self.log.first_index:
            self.issue(self.log.drop(upto))

    patch(Engine, "drop_log", drop_log)


def _snapshot_of_the_newest_configuration(patch: Patch) -> None:
    def take_snapshot(self: Engine) -> None:
        configurations, latest = self.configurations, self.configurations.latest
        self.configurations = type("Newest", (), {"at": lambda _self, _index: latest})()
        try:
            TAKE_SNAPSHOT(self)
        finally:
            self.configurations = configurations

    patch(Engine, "take_snapshot", take_snapshot)


# --- members


def _configuration_at_commit(patch: Patch) -> None:
    def configuration_changed(self: Engine) -> None:
        CONFIGURATION_CHANGED(self)
        if found := self.configurations.at(self.commit_index).servers:
            self.voters = frozenset(one[0] for one in found if len(one) == 3)

    def commit_to(self: Engine, index: int) -> None:
        COMMIT_TO(self, index)
        configuration_changed(self)

    patch(Engine, "configuration_changed", configuration_changed)
    patch(Engine, "commit_to", commit_to)


def _several_changes(patch: Patch) -> None:
    patch(Engine, "has_pending_change", lambda self: False)


def _configuration_of_the_beginning(patch: Patch) -> None:
    rebuild = Engine.rebuild_configurations

    def rebuild_configurations(self: Engine) -> None:
        rebuild(self)
        first = self.configurations._stack[0]
        if self.log.last_index:
            del self.configurations._stack[1:]
            if first.servers:
                self.configuration_changed()

    patch(Engine, "rebuild_configurations", rebuild_configurations)


def _learners_count(patch: Patch) -> None:
    def advance_commit(self: Engine) -> None:
        if self.is_leader_role:
            matches = [one.match for server, one in self.progress.items() if server in self.peers]
            matches.append(self.own_match)
            index = sorted(matches, reverse=True)[min(len(matches), len(self.configuration) // 2 + 1) - 1]
            if index > self.commit_index and self.log.term_at(index) == self.term:
                self.commit_to(index)
                self.replicate()

    patch(Engine, "advance_commit", advance_commit)


# --- reads


def _lease_from_the_answer(patch: Patch) -> None:
    def heard(self: Progress, created: float) -> None:
        now = CLOCK[0]()
        self.contact, self.basis = max(self.contact, now), max(self.basis, now)

    def receive(self: Engine, server_id: str, data: bytes) -> None:
        CLOCK[0] = self.runtime.now
        RECEIVE(self, server_id, data)

    patch(Progress, "heard", heard)
    patch(Engine, "receive", receive)


def _lease_survives_the_word(patch: Patch) -> None:
    patch(Engine, "lease_revoked", property(lambda self: False, lambda self, value: None))


def _votes_right_after_a_restart(patch: Patch) -> None:
    patch(Engine, "is_paused", lambda self: False)


def _rounds_take_any_answer(patch: Patch) -> None:
    def round_answered(self: Engine, server_id: str, sequence: int) -> None:
        if self._round is not None:
            self._round.answered.add(server_id)
            self._end_round()
            self._begin_round()

    patch(Engine, "round_answered", round_answered)


# --- liveness


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


CHAIRS = ("musical chairs",)
ROUGH = ("musical chairs", "crash", "slow disk")
BELOW = (  # found by a test of the part alone: lives in which they show are too rare to wait for
    Plant("answers of earlier terms count", _believes_late_answers),
    Plant("cuts are not durable", _cuts_are_not_durable),
)
PLANTS = (
    Plant("an append is answered before its sync", _answers_before_the_sync, seed=1),
    Plant("the leader counts itself at the append", _counts_at_append),
    Plant("a vote leaves before its sync", _votes_before_the_sync, seed=2),
    Plant("what is durable is known by index", _durable_by_index, seed=222, faults=ROUGH, settings={"share": 1.0}),
    Plant("a second vote in a term", _votes_twice, seed=58),
    Plant("a restart forgets the vote", _forgets_its_vote, seed=5),
    Plant(
        "answers are counted, not voters",
        _counts_answers,
        seed=16,
        size=5,
        faults=("split", "crash"),
        settings={"repeats": 0.5},
    ),
    Plant("half is a quorum", _half_is_a_quorum, seed=16, size=4),
    Plant("the index goes before the term", _index_before_term, seed=3, faults=CHAIRS),
    Plant(
        "entries of older terms are committed by count",
        _commits_older_terms,
        size=5,
        faults=ROUGH,
        settings={"message_bytes": 1},
    ),
    Plant("all after the previous entry is cut", _cuts_all_after_previous, seed=2),
    Plant("the commit index goes to the log's end", _commits_to_the_logs_end, seed=12),
    Plant("an answer claims the log's end", _claims_the_logs_end, seed=103, settings={"message_bytes": 100}),
    Plant("an older snapshot is installed", _installs_older, seed=2, faults=("reconnect", "crash")),
    Plant(
        "an install drops a longer log",
        _drops_a_longer_log,
        seed=159,
        work=(),
        faults=("reconnect",),
        settings={"share": 1.0, "delay": 0.05, "snapshot_entries": 3, "pause": 0.15},
    ),
    Plant(
        "the log goes back to the newest snapshot only",
        _keeps_one_snapshots_log,
        seed=2,
        faults=("rot", "crash"),
        settings={"snapshot_entries": 20},
    ),
    Plant("a snapshot's bad checksum is overlooked", _overlooks_a_bad_checksum, seed=7, faults=("rot", "crash")),
    Plant("a snapshot is acknowledged before it is there", _acknowledges_a_snapshot_at_once, seed=2),
    Plant(
        "a snapshot has the newest configuration",
        _snapshot_of_the_newest_configuration,
        seed=3,
        work=("change members",),
    ),
    Plant("a configuration counts from its commit on", _configuration_at_commit, seed=2, work=("change members",)),
    Plant("several changes at a time", _several_changes, work=("change members",)),
    Plant(
        "a restart goes by the first configuration", _configuration_of_the_beginning, seed=1, work=("change members",)
    ),
    Plant(
        "leases count from the answer",
        _lease_from_the_answer,
        seed=5,
        faults=CHAIRS,
        settings={"late": 0.5, "late_to": "s0", "keeps_flying": True},
    ),
    Plant(
        "a lease survives the word to take over", _lease_survives_the_word, seed=2, work=(), faults=("cut at the word",)
    ),
    Plant(
        "a restarted server votes at once",
        _votes_right_after_a_restart,
        seed=1,
        size=3,
        faults=("forgetful witness",),
        settings={"between_writes": 0.5, "pause": 2.5},
    ),
    Plant(
        "a round takes answers to older questions",
        _rounds_take_any_answer,
        seed=27,
        size=3,
        work=(),
        faults=CHAIRS,
        settings={
            "late": 0.5,
            "late_to": "s0",
            "keeps_flying": True,
            "clocks_are_wild": True,
            "between_reads": 0.01,
            "pause": 2.0,
        },
    ),
    Plant(
        "messages of lower terms get no answer",
        _lower_terms_get_no_answer,
        seed=7,
        work=(),
        faults=("cut at the word",),
    ),
    Plant(
        "refused polls name no term",
        _refused_polls_name_no_term,
        seed=8,
        size=3,
        faults=ROUGH,
        settings={"one_is_gone": True},
    ),
    Plant("the next index is not clamped", _next_is_not_clamped, seed=6, settings={"snapshot_entries": 10_000}),
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
    Plant("a hand-over never ends", _hand_overs_never_end, seed=119, work=("hand over",)),
    Plant("learners count", _learners_count, seed=2, work=("change members",)),
)
