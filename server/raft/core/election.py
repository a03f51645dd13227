"""Elections: polls first, votes counted by sender and synced before they leave; leaders keep a quorum.

Spec raft-engine §4, §5.
"""

from __future__ import annotations

import logging

from yurt.server.raft.callbacks import tell
from yurt.server.raft.core.configuration import voters_of
from yurt.server.raft.core.messages import NUMBER_MAX, BadMessage, Heartbeat, HeartbeatAnswer, VoteAnswer, VoteRequest
from yurt.server.raft.core.state import CANDIDATE, LEADER, EngineState, Progress
from yurt.server.raft.errors import NotLeader, OutcomeUnknown
from yurt.server.raft.peer import Peer

log = logging.getLogger("raft.election")

NOOP = b"N"
EXHAUSTED_SECONDS = 60.0  # between two lines of the log that say that no election is possible
LEADERLESS_ELECTIONS = 20  # shortest election times without a leader that are long
PATIENCE_MAX = 2  # elections that fail in a row make everybody wait longer, up to 2² times: disks may be slow


class Elections(EngineState):
    """The leader election, with PreVote."""

    polling = 0  # the term that would begin, while a poll goes on
    polled: set[str]
    is_fresh = False  # this server's files began with this process: it has promised nothing before
    leaderless = 0  # terms that began since a leader was known
    lease_revoked = False
    led_until = float("-inf")

    def reset_election_timer(self) -> None:
        """A new deadline, drawn anew at every change of role and every sign of a leader."""
        if self.election_timer is not None:
            self.election_timer.cancel()
        shortest = self.config.heartbeat if self.begins_the_cluster else self.config.election
        seconds = shortest * (1 + self.chance.random()) * 2 ** min(max(0, self.leaderless - 1), PATIENCE_MAX)
        self.election_timer = self.runtime.call_later(seconds, self._election_due)

    @property
    def begins_the_cluster(self) -> bool:
        """The first server of a configuration that nobody has led yet need not wait for a leader's silence."""
        return bool(self.is_fresh and self.term == 1 and self.configuration[0][0] == self.own.id)

    def _election_due(self) -> None:
        if self.stopped or self.is_leader_role:
            return
        if self.role == CANDIDATE and not self.term_is_durable():
            self.reset_election_timer()  # nobody was asked yet: another term would have to wait for the disk again
            return
        self.leader = None
        self.leadership_changed()
        if self.may_campaign:
            self.poll()
        else:
            self.reset_election_timer()

    @property
    def may_campaign(self) -> bool:
        """Voters do, also those of the last committed configuration: a leader may have to finish its own removal."""
        committed = voters_of(self.configurations.at(self.commit_index).servers)
        return self.is_voter or self.own.id in committed

    def _has_a_next_term(self) -> bool:
        """Whether another term can be told to others; if not, only an operator can help, so the log says how."""
        if self.term + 1 < NUMBER_MAX or not self.others:
            return True
        if self.runtime.now() >= self._exhausted_told + EXHAUSTED_SECONDS:
            self._exhausted_told = self.runtime.now()
            log.error(
                "no election is possible: the terms are used up. Stop all servers and reset the term of each with "
                "`yurt operator raft recover DATA_DIR -term N`",
                extra={"term": self.term},
            )
        return False

    _exhausted_told = float("-inf")

    # --- the poll: nobody disturbs a cluster with an election that cannot be won

    def poll(self) -> None:
        """Ask who would vote, before a term is spent on it."""
        if not self._has_a_next_term():
            self.reset_election_timer()
            return
        self.polling, self.polled = self.term + 1, {self.own.id}
        self.reset_election_timer()
        self.ask_voters(self.polling, poll=True)
        self._count_poll()

    def ask_voters(self, term: int, *, poll: bool = False, transfer: bool = False) -> None:
        """Ask the voters of the own configuration."""
        for peer in self.others:
            self.send_message(
                peer,
                VoteRequest(
                    self.cluster, term, self.next_sequence(), self.log.last_index, self.last_term(), poll, transfer
                ),
            )

    def _count_poll(self) -> None:
        if len(self.polled & self.voters) >= self.quorum():
            self.campaign()

    def hears_a_leader(self) -> bool:
        """Whether a leader lives: it was heard within the shortest election time, or this server is it."""
        if self.is_leader_role:
            return self.has_quorum_contact(self.config.election)
        return self.runtime.now() < self.leader_contact + self.config.election

    def is_led_by(self, server_id: str) -> bool:
        """Whether this server follows that one in the current term."""
        return not self.is_leader_role and self.leader is not None and self.leader.id == server_id

    def last_contact_seconds(self) -> float:
        """Since a leader was heard or this server led, at most since it started; 0 on the leader."""
        known = max(self.leader_contact, self.led_until, self.started_at)
        return 0.0 if self.is_leader_role else max(0.0, self.runtime.now() - known)

    def has_long_been_leaderless(self) -> bool:
        """Whether no leader was heard for so long that the configuration may have moved on without this server."""
        return self.last_contact_seconds() >= LEADERLESS_ELECTIONS * self.config.election

    def is_paused(self) -> bool:
        """Whether this process is so young that its predecessor may have promised a leader to wait."""
        young = self.runtime.now() < self.started_at + self.config.election
        return young and not self.is_fresh and not self.is_alone()

    def is_alone(self) -> bool:
        """Whether nobody else can lead: this is the only voter, and was when the newest term began.

        A leader that takes itself out goes on until it knows that this is committed; until then it has a lease.
        """
        if self.voters != {self.own.id}:
            return False
        placed = self.configurations.latest.index
        known = self.log.term_at(placed)
        return placed <= 1 or self.last_term() > (self.snapshot.term if known is None else known)

    def is_current(self, message: VoteRequest) -> bool:
        """Whether the candidate's log is at least as new as this one."""
        return (message.last_term, message.last_index) >= self.log_end

    def _answer_poll(self, peer: Peer, message: VoteRequest) -> None:
        """Nothing changes here, whatever the answer."""
        granted = (
            message.term > self.term
            and self.is_current(message)
            and not self.hears_a_leader()
            and not self.is_paused()
        )  # fmt: skip
        term = message.term if granted else self.term
        self.send_message(peer, VoteAnswer(self.cluster, term, message.sequence, granted, True))

    # --- the election

    def campaign(self, *, transfer: bool = False) -> None:
        """Stand for election: term and own vote are durable before anybody is asked."""
        if not self._has_a_next_term():
            self.reset_election_timer()
            return
        self.role = CANDIDATE
        self.leader = None
        self.votes, self.polling = set(), 0
        lsn = self.set_term(self.term + 1, self.own.id)
        self.hold(lsn, lambda: self._ask_for_votes(transfer))
        self.reset_election_timer()
        self.leadership_changed()

    def _ask_for_votes(self, transfer: bool) -> None:
        if self.role != CANDIDATE:
            return
        self.votes.add(self.own.id)
        self.ask_voters(self.term, transfer=transfer)
        self._count_votes()

    def on_vote_request(self, peer: Peer, message: VoteRequest) -> None:
        """Vote once a term, for a log at least as new, but not while a leader lives, unless that leader wants it so."""
        if message.poll:
            self._answer_poll(peer, message)
            return
        waits = self.is_paused() or (self.hears_a_leader() and not message.transfer)
        if message.term > self.term and not waits:
            self.step_down(message.term)
        free = self.voted_for in (None, peer.id)
        granted = (
            message.term == self.term
            and self.is_current(message)
            and free
            and not waits
            and not self.is_leader_role
        )  # fmt: skip
        answer = VoteAnswer(self.cluster, self.term, message.sequence, granted)
        if not granted:
            self.send_message(peer, answer)
            return
        self.reset_election_timer()
        lsn = self.set_term(self.term, peer.id)
        self.hold(lsn, lambda: self.send_message(peer, answer))

    def on_vote_answer(self, peer: Peer, message: VoteAnswer) -> None:
        """Count the sender, not the message."""
        if not message.granted:
            return
        if message.poll:
            if message.term == self.polling == self.term + 1 and not self.is_leader_role:
                self.polled.add(peer.id)
                self._count_poll()
        elif self.role == CANDIDATE and message.term == self.term:
            self.votes.add(peer.id)
            self._count_votes()

    def _count_votes(self) -> None:
        if len(self.votes & self.voters) >= self.quorum():
            self._lead()

    def _lead(self) -> None:
        self.role = LEADER
        self.leader = self.own
        self.polling = self.leaderless = 0
        if self.election_timer is not None:
            self.election_timer.cancel()
        now = self.runtime.now()
        self.progress = {
            server: Progress(peer, self.log.last_index + 1, self.sequence + 1, contact=now)
            for server, peer in self.peers.items()
        }
        self.lease_revoked = False
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
        for progress in list(self.progress.values()):
            self.resend(progress)
        if not self.has_quorum_contact(self.config.election):
            self.step_down(self.term)
        else:
            self.tend_members()

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
        heard = sum(one.contact >= since for server, one in self.progress.items() if server in self.voters)
        return heard + self.is_voter >= self.quorum()

    def on_heartbeat(self, peer: Peer, message: Heartbeat) -> None:
        """Answer at once, as soon as the term is durable; the commit index does not move."""
        if message.term == self.term:
            self.follow(peer, message.term)
        answer = HeartbeatAnswer(self.cluster, self.term, message.sequence)
        if self.term_is_durable():
            self.send_message(peer, answer)
        else:
            self.hold(self._hard_lsn, lambda: self.send_message(peer, answer))

    def term_is_durable(self) -> bool:
        """Whether no hard state waits for the disk."""
        return self._hard_lsn <= self._durable_lsn

    _hard_lsn = 0

    def set_term(self, term: int, voted_for: str | None) -> int:
        """Note which operation makes the term durable."""
        self.leaderless += term > self.term
        self._hard_lsn = super().set_term(term, voted_for)
        return self._hard_lsn

    def on_heartbeat_answer(self, peer: Peer, message: HeartbeatAnswer) -> None:
        """A sign of life from the time the heartbeat was created."""
        progress = self.progress.get(peer.id)
        if not self.is_leader_role or message.term != self.term or progress is None:
            return
        created = progress.heartbeats.pop(message.sequence, None)
        if created is not None:
            progress.heard(created)
            self.round_answered(peer.id, message.sequence)

    def follow(self, peer: Peer, term: int) -> None:
        """A leader of this or a newer term was heard."""
        if term > self.term or self.role != 0:
            if term == self.term and self.is_leader_role:
                if peer.id not in self.peers:
                    raise BadMessage("a stranger claims to lead in this server's term")
                raise AssertionError("two leaders in one term")
            self.step_down(term, peer)
        if self.leader != peer:
            self.leader = peer
            self.leadership_changed()
        self.polling = self.leaderless = 0
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
            self.led_until = self.runtime.now()
            self.end_waiting()
        self.leadership_changed()

    def end_waiting(self) -> None:
        """Fail all waiters: appended proposals with `OutcomeUnknown`, others with `NotLeader` (surely not written)."""
        self.fail_rounds(NotLeader())
        waiting = [callback for pairs in self.waiting.values() for _, callback in pairs]
        self.waiting.clear()
        for callback in waiting:
            tell(callback, None, OutcomeUnknown())
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

    def tend_members(self) -> None:
        """Look after those who join and leave."""
        raise AssertionError("membership tends them")

    def resend(self, progress: Progress) -> None:
        """Repair what was lost on the way to one follower."""
        raise AssertionError("replication resends")
