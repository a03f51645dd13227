"""Reads that see every acknowledged write: leases, quorum rounds, read indexes for followers (spec raft-engine §8).

A read waits until the state has everything that was committed when it came. The leader knows that index at once while
its lease holds, else after a quorum round; a follower asks the leader. Rounds are shared by all who wait.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

from yurt.server.raft.callbacks import tell
from yurt.server.raft.consensus import Callback
from yurt.server.raft.core.messages import ReadAnswer, ReadRequest
from yurt.server.raft.core.snapshotting import Snapshotting
from yurt.server.raft.errors import NotLeader
from yurt.server.raft.peer import Peer
from yurt.server.raft.runtime import Timer

LEASE_SHARE = 0.8  # of the shortest election time: clocks may differ in rate by a tenth each


@dataclass
class Round:
    """Servers that answered something created after the round began (sequence > `first`), and who waits."""

    first: int
    answered: set[str]
    waiting: list[Callback]


@dataclass
class Questions:
    """The ReadIndex requests of a follower: one is in flight, later reads collect for the next."""

    request: int = 0
    asking: list[Callback] = field(default_factory=list)
    collecting: list[Callback] = field(default_factory=list)
    timer: Timer | None = None


class Reading(Snapshotting):
    """When the state here may be read."""

    _round: Round | None = None
    _next_round: list[Callback]
    _questions: dict[bool, Questions]
    _applied_waiters: list[tuple[int, int, Callback]]
    _waiter_count = 0

    def read(self, callback: Callback, *, quorum: bool = False) -> None:
        """`callback(None, None)` as soon as the state here holds everything acknowledged before this call.

        `quorum`: make sure by a majority, not by clocks. `callback(None, NotLeader)`: no leader could be asked.
        """
        if self.stopped:
            callback(None, NotLeader())
        elif self.is_leader_role:
            if quorum or not self.lease_is_valid():
                self.verify(lambda index, error: callback(None, error) if error else self.when_applied(index, callback))
            else:
                self.when_applied(self.commit_index, callback)
        elif self.leader is None:
            callback(None, NotLeader())
        else:
            questions = self._questions[quorum]
            questions.collecting.append(callback)
            if not questions.request:
                self._ask(quorum)

    @property
    def may_read(self) -> bool:
        """Whether a read here at once sees every acknowledged write."""
        return self.last_applied == self.commit_index and self.lease_is_valid()

    def lease_is_valid(self) -> bool:
        """Whether no other server can lead now: a majority promised so, counted from when it was asked.

        Never before an entry of the own term is committed, after a hand-over was begun, or with a voter that waits for
        a shorter time than this server counts on.
        """
        if not self.is_ready or self.lease_revoked:
            return False
        if any(self.timings.get(server, self.config.election) < self.config.election for server in self.voters):
            return False
        since = self.runtime.now() - self.config.election * LEASE_SHARE
        promised = sum(one.basis > since for server, one in self.progress.items() if server in self.voters)
        return promised + self.is_voter >= self.quorum()

    def when_applied(self, index: int, callback: Callback) -> None:
        """`callback(None, None)` when the state has the entry `index`."""
        if self.last_applied >= index:
            tell(callback, None, None)
        else:
            self._waiter_count += 1
            heapq.heappush(self._applied_waiters, (index, self._waiter_count, callback))

    def wake_readers(self) -> None:
        """The state has moved on."""
        waiters = self._applied_waiters
        while waiters and waiters[0][0] <= self.last_applied:
            tell(heapq.heappop(waiters)[2], None, None)

    # --- quorum rounds of the leader

    def verify(self, callback: Callback) -> None:
        """One quorum round: `callback(read index, None)` if this server leads still, else `NotLeader`."""
        if not self.is_ready:
            callback(None, NotLeader(self.leader_address))
            return
        self._next_round.append(callback)
        if self._round is None:
            self._begin_round()

    def _begin_round(self) -> None:
        while self._next_round and self._round is None:
            waiting, self._next_round = self._next_round, []
            self._round = Round(self.sequence, {self.own.id}, waiting)
            self.send_heartbeats()
            self._end_round()

    def round_answered(self, server_id: str, sequence: int) -> None:
        """Only answers to what was created after the round began count."""
        if self._round is not None and sequence > self._round.first:
            self._round.answered.add(server_id)
            self._end_round()
            self._begin_round()

    def _end_round(self) -> None:
        if self._round is None or len(self._round.answered & self.voters) < self.quorum():
            return
        waiting, self._round = self._round.waiting, None
        for callback in waiting:
            tell(callback, self.commit_index, None)

    def fail_rounds(self, error: Exception) -> None:
        """No longer the leader."""
        waiting = [*(self._round.waiting if self._round else ()), *self._next_round]
        self._round, self._next_round = None, []
        for callback in waiting:
            tell(callback, None, error)

    # --- questions of a follower

    def _ask(self, quorum: bool) -> None:
        questions = self._questions[quorum]
        if not questions.collecting:
            return
        questions.asking, questions.collecting = questions.collecting, []
        if self.leader is None or self.is_leader_role:
            self._end_question(questions, quorum, None)
            return
        request = questions.request = self.chance.getrandbits(62) + 1
        questions.timer = self.runtime.call_later(
            self.config.election, lambda: self._end_question(questions, quorum, None, request)
        )
        sequence = self.next_sequence()
        self.send_message(self.peer_of(self.leader.id), ReadRequest(self.cluster, self.term, sequence, request, quorum))

    def _end_question(self, questions: Questions, quorum: bool, index: int | None, request: int = 0) -> None:
        if request not in (0, questions.request):
            return
        waiting, questions.asking, questions.request = questions.asking, [], 0
        if questions.timer is not None:
            questions.timer.cancel()
        for callback in waiting:
            if index is None:
                tell(callback, None, NotLeader())
            else:
                self.when_applied(index, callback)
        if not questions.request:
            self._ask(quorum)

    def on_read_request(self, peer: Peer, message: ReadRequest) -> None:
        """Answer with the commit index, as sure as for an own read."""

        def answer(index: Any, error: Exception | None) -> None:
            found = ReadAnswer(
                self.cluster, self.term, message.sequence, message.request, error is None, 0 if error else index
            )
            self.send_message(peer, found)

        if message.quorum or not self.lease_is_valid():
            self.verify(answer)
        else:
            answer(self.commit_index, None)

    def on_read_answer(self, peer: Peer, message: ReadAnswer) -> None:
        """An answer to another question, or one that comes too late, says nothing."""
        for quorum, questions in self._questions.items():
            if questions.request and message.request == questions.request:
                self._end_question(questions, quorum, message.index if message.known else None)

    def end_reads(self) -> None:
        """This server stops: nobody waits any longer."""
        waiting = [callback for _, _, callback in self._applied_waiters]
        self._applied_waiters = []
        for questions in self._questions.values():
            waiting += questions.asking + questions.collecting
            questions.asking, questions.collecting = [], []
        for callback in waiting:
            tell(callback, None, NotLeader())

    @property
    def is_ready(self) -> bool:
        """Whether this server leads and has applied an entry of its own term."""
        return bool(self.is_leader_role and self.last_applied >= self.term_start)

    @property
    def leader_address(self) -> str | None:
        """The leader's peer address, None if no leader is known."""
        raise AssertionError("the engine knows")

    def peer_of(self, server_id: str) -> Peer:
        """The peer of an ID."""
        raise AssertionError("membership knows")
