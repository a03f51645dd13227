"""Membership: one server at a time, learners before voters, nobody left behind (spec raft-engine §5).

A new server listens until it has caught up, then it votes. A removed one is fed until it knows. A change needs an entry
of the leader's own term committed before it, and no other change under way.
"""

from __future__ import annotations

from collections.abc import Callable

from yurt.fsm.errors import YurtError
from yurt.server.raft.consensus import Callback
from yurt.server.raft.core.configuration import LEARNER, differs_by_one, pack_change
from yurt.server.raft.core.reads import Reading
from yurt.server.raft.core.state import Progress
from yurt.server.raft.errors import ChangeRefused, NotLeader
from yurt.server.raft.peer import Peer, Servers

LAG_MAX = 250  # entries a learner may be behind and become a voter
LEAVING_SECONDS = 5.0


class Membership(Reading):
    """The membership of the cluster."""

    stabilization = 0.0  # seconds a learner must have been followed before it votes
    may_vote: Callable[[str], bool] = staticmethod(lambda _server: True)  # of a learner that has caught up

    def configuration_changed(self) -> None:
        """A leader begins to feed who is new, and goes on for a while with who leaves."""
        super().configuration_changed()
        if self.is_leader_role:
            index = self.configurations.latest.index
            for server, peer in self.peers.items():
                known = self.progress.get(server)
                if known is None or known.leaving:
                    now = self.runtime.now()
                    self.progress[server] = Progress(
                        peer, self.log.last_index + 1, self.sequence + 1, contact=now, began=now
                    )
                else:
                    known.peer = peer
            for server, progress in self.progress.items():
                if server not in self.peers and not progress.leaving:
                    progress.leaving = index
        self.membership_changed()

    # --- changes

    def add_server(self, server_id: str, address: str, name: str, callback: Callback) -> None:
        """Let a server listen, and vote once it has caught up; a known one gets the new address and name.

        `callback(index, None)` when the change is committed, `callback(None, ChangeRefused | NotLeader | ...)` if not.
        """
        servers = [list(one) for one in self.configuration]
        known = next((one for one in servers if one[0] == server_id), None)
        if known is None:
            servers.append([server_id, address, name, LEARNER])
        elif known[1:3] == [address, name]:
            callback(self.configurations.latest.index, None)
            return
        else:
            known[1:3] = [address, name]
        self.change(servers, callback)

    def remove_server(self, server_id: str, callback: Callback) -> None:
        """Take a server out; `callback` as for `add_server`."""
        servers = [list(one) for one in self.configuration if one[0] != server_id]
        if len(servers) == len(self.configuration):
            callback(None, ChangeRefused(f'id "{server_id}" was not found in the Raft configuration'))
        elif not any(len(one) == 3 for one in servers):
            callback(None, ChangeRefused("the last voter cannot be removed"))
        else:
            self.change(servers, callback)

    def change(self, servers: Servers, callback: Callback) -> None:
        """Put a configuration into force."""
        if error := self.refuses_change(servers):
            callback(None, error)
            return
        index = self.log.last_index + 1
        self.waiting[index] = [(self.term, callback)]
        entry = (pack_change(servers, self.configurations.latest.index), index, self.term)
        self.append_entries([entry])
        self.replicate()

    def refuses_change(self, servers: Servers) -> YurtError | None:
        """Why the configuration may not be changed to this now; None if it may."""
        if not self.is_ready or self.stopped or self.is_handing_over:
            return NotLeader(self.leader_address)
        if self.has_pending_change():
            return ChangeRefused("another change of the configuration is under way; try again when it is committed")
        if not differs_by_one(self.configuration, servers):
            return ChangeRefused("a change may add or remove one voter")
        return None

    def has_pending_change(self) -> bool:
        """Whether the newest configuration is not committed yet."""
        return bool(self.configurations.latest.index > self.commit_index)

    # --- the leader's regular work

    def tend_members(self) -> None:
        """Promote who has caught up, let go who knows that it is out, step down when out oneself."""
        self._step_down_if_removed()
        for server, progress in list(self.progress.items()):
            if progress.leaving:
                self._let_go(server, progress)
            elif server not in self.voters:
                self._promote(server, progress)

    def _step_down_if_removed(self) -> None:
        latest = self.configurations.latest
        if not self.is_voter and latest.index <= self.commit_index and self.is_leader_role:
            for progress in list(self.progress.values()):
                self.send_entries(progress)  # the others learn that it is committed
            self.step_down(self.term)

    def _let_go(self, server: str, progress: Progress) -> None:
        if progress.leaving > self.commit_index:
            return
        now = self.runtime.now()
        progress.leaving_until = progress.leaving_until or now + LEAVING_SECONDS
        if progress.commit_known >= progress.leaving or now >= progress.leaving_until:
            self.progress.pop(server, None)

    def _promote(self, server: str, progress: Progress) -> None:
        """A catch-up round ends where the log ended when it began; a short one makes a voter."""
        now, last = self.runtime.now(), self.log.last_index
        if not progress.round_target:
            progress.round_target, progress.round_began = last, now
        if progress.probing or progress.match < progress.round_target:
            return
        short = now - progress.round_began < self.config.election + self.config.heartbeat
        progress.round_target = 0
        if now < progress.began + self.stabilization:
            return
        is_near = short and last - progress.match < LAG_MAX
        if is_near and self.is_ready and not self.has_pending_change() and self.may_vote(server):
            servers = [one[:3] if one[0] == server else list(one) for one in self.configuration]
            self.change(servers, lambda _index, _error: None)

    def peer_of(self, server_id: str) -> Peer:
        """The peer of that ID; also one that the own configuration does not know (yet)."""
        if peer := self.peers.get(server_id):
            return peer
        progress = self.progress.get(server_id)
        return progress.peer if progress is not None else Peer(server_id, "")

    @property
    def is_handing_over(self) -> bool:
        """Whether the leadership is being transferred."""
        raise AssertionError("the transfer knows")

    def membership_changed(self) -> None:
        """Another configuration is in force."""
        raise AssertionError("the engine tells")
