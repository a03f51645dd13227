"""Handing the leadership over: the next leader has everything, nobody waits (spec raft-engine §5)."""

from __future__ import annotations

from dataclasses import dataclass

from yurt.server.raft.callbacks import tell
from yurt.server.raft.consensus import Callback
from yurt.server.raft.core.membership import Membership
from yurt.server.raft.core.messages import TimeoutNow
from yurt.server.raft.errors import NotLeader, TransferFailed
from yurt.server.raft.peer import Peer
from yurt.server.raft.runtime import Timer


@dataclass
class HandOver:
    """A transfer under way."""

    target: str
    callback: Callback
    timer: Timer
    sent: bool = False


class Transfer(Membership):
    """Leadership goes to another server on purpose."""

    _hand_over: HandOver | None = None

    @property
    def is_handing_over(self) -> bool:
        """Whether the leadership is being transferred: proposals are refused, surely not written."""
        return self._hand_over is not None

    def transfer(self, target: str | None, callback: Callback) -> None:
        """Give the leadership to `target`, or to the voter that is furthest.

        `callback(server ID, None)` when this server leads no more; else `NotLeader` or `TransferFailed`.
        """
        if not self.is_ready or self.stopped:
            callback(None, NotLeader(self.leader_address))
            return
        if self._hand_over is not None:
            callback(None, TransferFailed("the leadership is being transferred already"))
            return
        chosen = target if target is not None else self._furthest()
        if chosen is None or chosen == self.own.id or chosen not in self.voters:
            callback(None, TransferFailed("there is no other voter that is in contact"))
            return
        self.lease_revoked = True  # for the rest of the term: the word to take over may arrive late
        timer = self.runtime.call_later(self.config.election * 2, self._give_up)
        self._hand_over = HandOver(chosen, callback, timer)
        self.refuse_queue(NotLeader())
        self.continue_transfer()

    def _furthest(self) -> str | None:
        since = self.runtime.now() - self.config.election
        able = [
            (one.match, server)
            for server, one in sorted(self.progress.items())
            if server in self.voters and one.contact >= since
        ]
        return max(able, default=(0, None))[1]

    def continue_transfer(self) -> None:
        """Say the word once the next leader has all entries and everybody here has an answer."""
        hand_over = self._hand_over
        if hand_over is None or hand_over.sent or not self.is_leader_role:
            return
        progress = self.progress.get(hand_over.target)
        last = self.log.last_index
        if progress is None or progress.match < last or self.last_applied < last:
            return
        hand_over.sent = True
        self.send_message(progress.peer, TimeoutNow(self.cluster, self.term, self.next_sequence()))

    def _give_up(self) -> None:
        self.end_transfer(TransferFailed("the next leader did not take over in time; this server goes on"))

    def end_transfer(self, error: Exception | None) -> None:
        """Answer whoever asked for the transfer under way, if one is."""
        hand_over, self._hand_over = self._hand_over, None
        if hand_over is not None:
            hand_over.timer.cancel()
            tell(hand_over.callback, None if error else hand_over.target, error)

    def step_down(self, term: int, leader: Peer | None = None) -> None:
        """Step down; leadership is lost, so the transfer is complete."""
        super().step_down(term, leader)
        self.end_transfer(None)

    def on_timeout_now(self, peer: Peer, message: TimeoutNow) -> None:
        """The leader of this very term wants this voter to take over."""
        if message.term == self.term and self.leader == peer and self.is_voter and not self.is_leader_role:
            self.campaign(transfer=True)
