"""The true clock, and everything that is due."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from typing import Any


class Event:
    """Something that will happen unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """It will not happen."""
        self.callback = None


class World:
    """Seconds from 0 on, which pass only in `step`; `chance` is what everything random follows from."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.time = 0.0
        self._due: list[tuple[float, int, Event]] = []
        self._count = 0
        self.trace: list[str] = []
        self.tasks: set[asyncio.Task[Any]] = set()  # of all event loops: somebody has to hold those that are frozen

    def later(self, seconds: float, callback: Callable[[], None]) -> Event:
        """Call back once, in so many seconds; what is due at one time comes in the order in which it was asked for."""
        self._count += 1
        event = Event(callback)
        heapq.heappush(self._due, (self.time + seconds, self._count, event))
        return event

    def step(self) -> None:
        """The next thing happens; where nothing is due a second passes (every machine may be down)."""
        if not self._due:
            self.time += 1.0
            return
        self.time, _, event = heapq.heappop(self._due)
        if event.callback is not None:
            event.callback()

    def step_until(self, time: float) -> bool:
        """The next thing happens if it is due by a time; else it is that time, and False."""
        if self._due and self._due[0][0] <= time:
            self.step()
            return True
        self.time = max(self.time, time)
        return False

    def run_until(self, time: float) -> None:
        """Everything that is due up to a time happens; then it is that time."""
        while self.step_until(time):
            pass

    def note(self, text: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.time:9.4f} {text}")
