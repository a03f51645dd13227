"""A disk without room for the next segment: nothing new is taken into the log, everything else goes on (§7)."""

from __future__ import annotations

from yurt.server.raft.core.messages import Append
from yurt.server.raft.core.replication import Replication
from yurt.server.raft.peer import Peer
from yurt.server.raft.storage.journal import Operation

LOOK_SECONDS = 1.0


class Space(Replication):
    """Refusing what would not fit, and looking whether it fits again."""

    _looking_for_space = False

    def on_append(self, peer: Peer, message: Append) -> None:
        """Without room new entries count as lost: the leader repeats them. It is still this server's leader."""
        if message.entries and message.term >= self.term and not self.storage.journal.writable:
            self.follow(peer, message.term)
            self._look_for_space()
            return
        super().on_append(peer, message)

    def _became_durable(self, lsn: int) -> None:
        super()._became_durable(lsn)
        self._look_for_space()

    def _look_for_space(self) -> None:
        """Try again in a while."""
        if self.storage.journal.writable or self._looking_for_space or self.stopped:
            return
        self._looking_for_space = True
        self.runtime.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._looking_for_space = False
        if not self.stopped:
            self.issue(Operation("prepare"))
