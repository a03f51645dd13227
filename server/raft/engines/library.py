"""The common part of engines on a library: their callbacks, and the hints that they do not take."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from yurt.server.raft.callbacks import LeadershipCallbacks
from yurt.server.raft.consensus import Callback
from yurt.server.raft.peer import Peer, Servers


class NoLearners:
    """Hints that a library does not take: everybody votes, at once, after times of its own."""

    def vote_if(self, may_vote: Callable[[str], bool]) -> None:
        """Not taken: the library lets everybody vote."""

    def stabilize(self, seconds: float) -> None:
        """Not taken: the library has no learners that could wait."""

    def heard_timings(self, seconds: Mapping[str, float]) -> None:
        """Not taken: the library has its own times."""


class LibraryEngine(NoLearners, ABC):
    """Tells who leads and who is a member, as often as the library is looked at."""

    def __init__(self) -> None:
        self.applied: Callable[[float], None] = lambda _seconds: None
        self.dumped: Callable[[], None] = lambda: None
        self._leadership = LeadershipCallbacks()
        self._configured: list[Callable[[Servers], None]] = []
        self._led_at = time.monotonic()

    def observe(self, applied: Callable[[float], None], snapshot: Callable[[], None]) -> None:
        """Tell how many seconds each command took, and when a dump was written."""
        self.applied, self.dumped = applied, snapshot

    # --- who leads

    @property
    @abstractmethod
    def is_ready(self) -> bool:
        """Whether this server leads and an entry of its term was committed."""

    @property
    @abstractmethod
    def is_leader_role(self) -> bool:
        """Whether the library believes that it leads."""

    @property
    @abstractmethod
    def leader(self) -> Peer | None:
        """The server that leads, as far as is known."""

    @property
    def leader_address(self) -> str | None:
        """The leader's peer address."""
        return self.leader.address if self.leader is not None else None

    def last_contact_seconds(self) -> float:
        """Since a leader was known."""
        return 0.0 if self.is_leader_role else time.monotonic() - self._led_at

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Call back with True when this server leads and is ready, with False when no more."""
        self._leadership.on_leadership(callback)

    def when_led(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as there is a leader to ask."""
        if self._is_led:
            callback(None, None)
        else:
            self._leadership.when_led(callback)

    def when_leader_changes(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as another server leads."""
        self._leadership.when_leader_changes(callback)

    def leadership_seen(self) -> None:
        """The library was looked at: tell what has changed."""
        leader = self.leader
        if leader is not None:
            self._led_at = time.monotonic()
        is_led = self._is_led
        self._leadership.seen(leader.id if leader and is_led else None, is_led=is_led, is_ready=self.is_ready)

    @property
    def _is_led(self) -> bool:
        return self.leader is not None and (self.is_ready or not self.is_leader_role)

    # --- members

    @property
    @abstractmethod
    def configuration(self) -> Servers:
        """The servers in force."""

    def on_configuration(self, callback: Callable[[Servers], None]) -> None:
        """Call back with each new configuration."""
        self._configured.append(callback)

    def membership_seen(self) -> None:
        """Tell who is a member now."""
        for told in self._configured:
            told(self.configuration)
