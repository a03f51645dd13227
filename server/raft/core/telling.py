"""The reports of an engine about itself: the leader, its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yurt.server.raft.callbacks import LeadershipCallbacks
from yurt.server.raft.consensus import Callback, ServerRow, Status
from yurt.server.raft.core.agreement import Agreement
from yurt.server.raft.core.state import CANDIDATE, FOLLOWER, LEADER
from yurt.server.raft.peer import Peer, Servers

_ROLES = {FOLLOWER: "Follower", CANDIDATE: "Candidate", LEADER: "Leader"}


class Telling(Agreement):
    """Tells those who asked to know, and answers questions about the engine."""

    name = "core"

    def __init__(self, own: Peer, **parts: Any) -> None:
        super().__init__(own, **parts)
        self._leadership = LeadershipCallbacks()
        self._configuration_callbacks: list[Callable[[Servers], None]] = []

    def observe(self, applied: Callable[[float], None], snapshot: Callable[[], None]) -> None:
        """Tell how many seconds each command took, and when a snapshot was written."""
        self.observe_apply, self.on_snapshot = applied, snapshot

    # --- members

    def on_configuration(self, callback: Callable[[Servers], None]) -> None:
        """Call back with each new configuration."""
        self._configuration_callbacks.append(callback)

    def membership_changed(self) -> None:
        """Tell those who dial the members."""
        for callback in self._configuration_callbacks:
            callback(self.configuration)

    def vote_if(self, may_vote: Callable[[str], bool]) -> None:
        """A learner that has caught up votes only if this says so of its ID."""
        self.may_vote = may_vote

    def stabilize(self, seconds: float) -> None:
        """A learner listens for so long before it votes."""
        self.stabilization = seconds

    def heard_timings(self, seconds: Mapping[str, float]) -> None:
        """Remember how long others wait at least: a lease counts on it."""
        self.timings = dict(seconds)

    @property
    def began_empty(self) -> bool:
        """Whether this server has neither a log nor a snapshot."""
        return self.is_empty

    # --- leadership and reads

    def when_led(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as there is a leader to ask: another server, or this one when it is ready."""
        if self._is_led:
            callback(None, None)
        else:
            self._leadership.when_led(callback)

    def when_leader_changes(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as another server than the one known last leads."""
        self._leadership.when_leader_changes(callback)

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Call back with True when this server leads and has applied its first entry, with False when no more."""
        self._leadership.on_leadership(callback)

    def leadership_changed(self) -> None:
        """Tell it, once a change."""
        leader = self.leader.id if self.leader is not None else None
        self._leadership.seen(leader, is_led=self._is_led, is_ready=self.is_ready)

    def state_replaced(self) -> None:
        """The leader's duties begin anew from another state."""
        if self.is_ready:
            self._leadership.begin_anew()

    @property
    def _is_led(self) -> bool:
        return self.leader is not None and (self.is_ready or not self.is_leader_role)

    @property
    def leader_address(self) -> str | None:
        """The leader's peer address, None if no leader is known."""
        if self.leader is None:
            return None
        return str(self.own.address if self.is_leader_role else self.peer_of(self.leader.id).address) or None

    # --- looking at it

    def servers(self) -> list[ServerRow]:
        """Return the id, address, name, leader, voter, contact (seconds ago) and match (log index) of each server.

        On another server than the leader contact and match of others are None: unknown.
        """
        now = self.runtime.now()
        found: list[ServerRow] = []
        for server, address, name, *role in self.configuration:
            progress = self.progress.get(server)
            contact = 0.0 if server == self.own.id else (now - progress.contact if progress else None)
            is_leader = self.leader is not None and self.leader.id == server
            match = self.own_match if server == self.own.id else (progress.match if progress else None)
            row = ServerRow(
                id=server, address=address, name=name, leader=is_leader, voter=not role, contact=contact, match=match
            )
            found.append(row)
        return found

    def stats(self) -> dict[str, str]:
        """Counters as texts, under the names that operators know."""
        return {
            "state": _ROLES[self.role],
            "term": str(self.term),
            "commit_index": str(self.commit_index),
            "applied_index": str(self.last_applied),
            "last_log_index": str(self.log.last_index),
            "last_log_term": str(self.last_term()),
            "fsm_pending": str(self.commit_index - self.last_applied),
            **self.snapshot_stats(),
            "num_peers": str(len(self.configuration) - 1),
            "last_contact": f"{self.last_contact_seconds() * 1000:.3f}ms",
        }

    def status(self) -> Status:
        """Its numbers."""
        return Status(
            term=self.term,
            last_index=self.log.last_index,
            commit_index=self.commit_index,
            applied_index=self.last_applied,
            configuration_index=self.configurations.latest.index,
            snapshot_index=self.snapshot.index,
            snapshot_seconds=self.storage.snapshots.age(),
            is_writable=self.storage.journal.writable,
        )

    @property
    def spool(self) -> str:
        """Where snapshots are: there is room for another one."""
        return self.storage.snapshots.directory

    async def close(self, *, clean: bool) -> None:
        """End threads and files after `stop`; `clean`: leave a mark that all was written."""
        if clean:
            self.runtime.run_disk(self.storage.journal.finish, lambda _result, _error: None)
        await self.runtime.close()
        self.storage.journal.close()
