"""The time of a cluster in one process: it passes only when it is told to, or while something is asked."""

from __future__ import annotations

from collections.abc import Callable

from yurt.server.testing.virtual.world import World

BEGIN_NS = 1_800_000_000_000_000_000  # 2027-01-15 08:00 UTC, whatever the day is: the same seed does the same


class VirtualClock:
    """Seconds from 0 on, and a date."""

    def __init__(self, world: World) -> None:
        self.world = world

    def now(self) -> float:
        """Seconds since the cluster was made."""
        return self.world.time

    def unix_ns(self) -> int:
        """The true date, nanoseconds since 1970."""
        return BEGIN_NS + int(self.world.time * 1e9)

    def advance(self, seconds: float) -> None:
        """Everything that is due in the next so many seconds happens now."""
        self.world.run_until(self.world.time + seconds)

    sleep = advance

    def run_while(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Let time pass as long as the condition holds, to a deadline at most; whether it did not hold in the end."""
        while condition():
            if not self.world.step_until(deadline):
                return not condition()
        return True
