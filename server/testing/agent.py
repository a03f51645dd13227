"""The operations of a test on one agent, be it a process or on virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

START_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02


class ClusterError(Exception):
    """The cluster did not do what was asked of it; the text says what, and where the logs are."""


class Clock(Protocol):
    """The time in which a cluster lives, in seconds."""

    def now(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""


class RealClock:
    """The machine's own."""

    def now(self) -> float:
        """The monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


REAL = RealClock()


class Agent(Protocol):
    """One agent of a cluster; `config` are members of its JSON configuration."""

    name: str

    @property
    def address(self) -> str:
        """Its HTTP address; raises `ClusterError` if it has none."""

    @property
    def is_running(self) -> bool:
        """Whether the process is there (perhaps paused)."""

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""

    def start(self) -> Any:
        """Start it."""

    def wait_ready(self) -> Any:
        """Wait until it has a leader and answers default reads; raises `ClusterError`."""

    def kill(self) -> None:
        """kill -9, or a loss of power."""

    def stop(self) -> int:
        """Stop it cleanly; the exit code."""

    def pause(self) -> None:
        """Let it stand still."""

    def resume(self) -> None:
        """Let it go on."""

    def end(self) -> None:
        """Make sure that it is gone."""

    def break_on_purpose(
        self, *, sync_seconds: float | None = None, full: bool | None = None, clock_seconds: float | None = None
    ) -> None:
        """Faults of disk and clock; those that are not given stay as they are.

        `sync_seconds`: each sync takes so much longer. `full`: nothing new finds room on the disk. `clock_seconds`:
        the wall clock is so far from the truth.
        """

    def log(self, characters: int = 0) -> str:
        """Return the last `characters` of the agent's log; all of it with 0."""

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = 20.0,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded body (text if it is no JSON) of one request; OSError if there is no answer."""


def wait_for(predicate: Callable[[], Any], seconds: float, what: str, clock: Clock = REAL) -> Any:
    """Return the result of `predicate` once it is true; raise `ClusterError` with `what` after `seconds`."""
    deadline = clock.now() + seconds
    while not (found := predicate()):
        if clock.now() >= deadline:
            raise ClusterError(f"not within {seconds:.0f} s: {what}")
        clock.sleep(POLL_SECONDS)
    return found
