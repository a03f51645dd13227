"""Elections: votes counted by sender and synced before they leave; leaders keep a quorum (spec raft-engine §4, §5)."""

from __future__ import annotations

from yurt.server.raft.errors import NotLeader, OutcomeUnknown
from yurt.server.raft.frame import CANDIDATE, LEADER, Peer
from yurt.server.raft.messages import Heartbeat, HeartbeatAnswer, VoteAnswer, VoteRequest
from yurt.server.raft.state import EngineState, Progress

NOOP = b"N"


class Elections(EngineState):
    """Who leads."""

    def reset_election_timer(self) -> None:
        """A new deadline, drawn anew at every change of role and every sign of a leader."""
        if self.election_timer is not None:
            self.election_timer.cancel()
        seconds = self.config.election * (1 + self.chance.random())
        self.election_timer = self.runtime.call_later(seconds, self._election_due)

    def _election_due(self) -> None:
        if self.stopped or self.is_leader_role:
            return
        if self.own.id not in {server for server, *_ in self.configuration}:
            self.reset_election_timer()
            return
        self.campaign()

    def campaign(self) -> None:
        """Stand for election: term and own vote are durable before anybody is asked."""
        self.set_role(CANDIDATE)
        self.leader = None
        self.votes = set()
        lsn = self.set_term(self.term + 1, self.own.id)
        self.hold(lsn, self._ask_for_votes)
        self.reset_election_timer()
        self.leadership_changed()

    def _ask_for_votes(self) -> None:
        if self.role != CANDIDATE:
            return
        self.votes.add(self.own.id)
        for peer in self.others:
            self.send_message(
                peer,
                VoteRequest(self.cluster, self.term, self.next_sequence(), self.log.last_index, self.last_term()),
            )
        self._count_votes()

    def on_vote_request(self, peer: Peer, message: VoteRequest) -> None:
        """Vote once a term, for a log at least as new, and not before the pause after a restart is over."""
        if message.term > self.term:
            self.step_down(message.term)
        newer = (message.last_term, message.last_index) >= (self.last_term(), self.log.last_index)
        free = self.voted_for in (None, peer.id)
        paused = self.runtime.now() < self.started_at + self.config.election and len(self.configuration) > 1
        granted = message.term == self.term and newer and free and not paused and not self.is_leader_role
        answer = VoteAnswer(self.cluster, self.term, message.sequence, granted)
        if not granted:
            self.send_message(peer, answer)
            return
        self.reset_election_timer()
        lsn = self.set_term(self.term, peer.id)
        self.hold(lsn, lambda: self.send_message(peer, answer))

    def on_vote_answer(self, peer: Peer, message: VoteAnswer) -> None:
        """Count the sender, not the message."""
        if self.role == CANDIDATE and message.term == self.term and message.granted:
            self.votes.add(peer.id)
            self._count_votes()

    def _count_votes(self) -> None:
        voters = {server for server, *_ in self.configuration}
        if len(self.votes & voters) >= self.quorum():
            self._lead()

    def _lead(self) -> None:
        self.set_role(LEADER)
        self.leader = self.own
        if self.election_timer is not None:
            self.election_timer.cancel()
        now = self.runtime.now()
        self.progress = {peer.id: Progress(peer, next=self.log.last_index + 1, contact=now) for peer in self.others}
        self.next_index.clear()
        self.match_index.clear()
        self.term_start = self.log.last_index + 1
        self.append_entries([(NOOP, self.term_start, self.term)])
        self.leadership_changed()
        self._lead_on()

    def _lead_on(self) -> None:
        """The leader's regular work: heartbeats, resends, and the question whether it still has a quorum."""
        if self.stopped or not self.is_leader_role:
            return
        self.heartbeat_timer = self.runtime.call_later(self.config.heartbeat, self._lead_on)
        self.send_heartbeats()
        for progress in self.progress.values():
            self.resend(progress)
        if not self.has_quorum_contact(self.config.election):
            self.step_down(self.term)

    def send_heartbeats(self) -> int:
        """Ask every follower for a sign; return the first sequence number used."""
        first = self.sequence + 1
        now = self.runtime.now()
        for progress in self.progress.values():
            sequence = self.next_sequence()
            progress.heartbeats[sequence] = now
            while len(progress.heartbeats) > 256:
                progress.heartbeats.pop(next(iter(progress.heartbeats)))
            self.send_message(progress.peer, Heartbeat(self.cluster, self.term, sequence))
        return first

    def has_quorum_contact(self, seconds: float) -> bool:
        """Whether a majority answered something that was created within the last `seconds`."""
        since = self.runtime.now() - seconds
        heard = 1 + sum(progress.contact >= since for progress in self.progress.values())
        return heard >= self.quorum()

    def on_heartbeat(self, peer: Peer, message: Heartbeat) -> None:
        """Answer at once; the commit index does not move."""
        if message.term < self.term:
            self.send_message(peer, HeartbeatAnswer(self.cluster, self.term, message.sequence))
            return
        self.follow(peer, message.term)
        answer = HeartbeatAnswer(self.cluster, self.term, message.sequence)
        if self._issued_lsn == self._durable_lsn:
            self.send_message(peer, answer)
        else:
            self.send_message(peer, answer) if self.term_is_durable() else self.hold(
                self._issued_lsn, lambda: self.send_message(peer, answer)
            )

    def term_is_durable(self) -> bool:
        """Whether no hard state waits for the disk."""
        return self._hard_lsn <= self._durable_lsn

    _hard_lsn = 0

    def set_term(self, term: int, voted_for: str | None) -> int:
        """Note which operation makes the term durable."""
        self._hard_lsn = super().set_term(term, voted_for)
        return self._hard_lsn

    def on_heartbeat_answer(self, peer: Peer, message: HeartbeatAnswer) -> None:
        """A sign of life from the time the heartbeat was created."""
        progress = self.progress.get(peer.id)
        if not self.is_leader_role or message.term != self.term or progress is None:
            return
        created = progress.heartbeats.pop(message.sequence, None)
        if created is not None:
            progress.contact = max(progress.contact, created)
            self.round_answered(peer.id, message.sequence)

    def follow(self, peer: Peer, term: int) -> None:
        """A leader of this or a newer term was heard."""
        if term > self.term or self.role != 0:
            assert not (term == self.term and self.is_leader_role), "two leaders in one term"
            self.step_down(term, peer)
        if self.leader != peer:
            self.leader = peer
            self.leadership_changed()
        self.leader_contact = self.runtime.now()
        self.reset_election_timer()

    def step_down(self, term: int, leader: Peer | None = None) -> None:
        """Become a follower; writes in flight end with an unknown outcome."""
        led = self.is_leader_role
        if term > self.term:
            self.set_term(term, None)
            self.leader = None
        elif led:
            self.leader = None
        if leader is not None:
            self.leader = leader
        self.become_follower_role()
        self.progress = {}
        if self.heartbeat_timer is not None:
            self.heartbeat_timer.cancel()
        self.reset_election_timer()
        if led:
            self.end_waiting()
        self.leadership_changed()

    def end_waiting(self) -> None:
        """What was appended has an unknown outcome; what was not appended is surely not written."""
        self.fail_rounds(NotLeader())
        waiting = [callback for pairs in self.waiting.values() for _, callback in pairs]
        self.waiting.clear()
        for callback in waiting:
            callback(None, OutcomeUnknown())
        self.refuse_queue(NotLeader(self.leader.address if self.leader else None))

    def leadership_changed(self) -> None:
        """Tell those who asked to know."""
        raise AssertionError("the engine tells")

    def round_answered(self, server_id: str, sequence: int) -> None:
        """A heartbeat of a verification round was answered."""
        raise AssertionError("the engine counts")

    def fail_rounds(self, error: Exception) -> None:
        """The rounds in flight cannot succeed."""
        raise AssertionError("the engine fails them")

    def refuse_queue(self, error: Exception) -> None:
        """Proposals that are not in the log are refused."""
        raise AssertionError("the engine refuses")

    def resend(self, progress: Progress) -> None:
        """Repair what was lost on the way to one follower."""
        raise AssertionError("replication resends")
