"""Python's cycle collector, kept out of the way of the event loop (design: The loop).

A collection looks at every tracked object of its generation, some 0.7 µs each, and everything stands still meanwhile.
So what has survived is frozen: no later collection looks at it, and it still goes when its last reference goes.

- Young collections come after `YOUNG_OBJECTS` new containers: a few milliseconds. There are no middle ones.
- What survives them gathers, and all of it is collected whenever young collections have taken `GROWTH_SECONDS`. If
  that takes more than `OLD_SECONDS`, what survives is frozen: so a full collection is short too, however large the
  state is.
- While a state is loaded nothing is collected: loading makes no cycles. Then all of it is frozen unseen.

So a small process is collected as a whole, and in a large one a cycle stays that becomes garbage after it was frozen:
nothing that lives long and comes often (connections, waiting queries, tasks) may be one.

Objects are never listed to count them: the list would hold what other threads are still making, and a tuple that
somebody else holds cannot be finished. The interpreter's own count of what is frozen walks over all of it. Only the
time of collections is both known and harmless: processor time, so that a busy machine looks no different.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from yurt.server.telemetry.metrics import Metrics

YOUNG_OBJECTS = 3_000
NEVER = 1 << 30
OLD_SECONDS, GROWTH_SECONDS = 0.004, 0.004


class CycleCollector:
    """The process's collector. `later` calls back soon, in the loop's thread, from any thread."""

    def __init__(self, metrics: Metrics, *, clock: Callable[[], float] = time.thread_time) -> None:
        self._metrics, self._clock = metrics, clock
        self._later: Callable[[Callable[[], None]], Any] | None = None
        self._guard = threading.Lock()
        self._loading = 0
        self._began = self.longest = 0.0
        self._full = self._growth = 0.0  # seconds of the newest full collection, and of all young ones since
        self._is_due = False

    def start(self, later: Callable[[Callable[[], None]], Any]) -> None:
        """Take over: short collections from now on, each one measured."""
        self._later = later
        gc.callbacks.append(self._collected)
        gc.set_threshold(YOUNG_OBJECTS, NEVER, NEVER)
        self._metrics.gauge("yurt.collector.pause_max", lambda: self.longest * 1000)

    def stop(self) -> None:
        """Leave the collector as Python has it."""
        self._later = None
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self._collected)
        gc.set_threshold(700, 10, 10)
        gc.enable()

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Collect nothing while a state is loaded, in any thread; freeze it then, without a look at it."""
        with self._guard:
            self._loading += 1
            gc.disable()
        try:
            yield
        finally:
            with self._guard:
                self._loading -= 1
                if not self._loading:
                    self._freeze()
                    gc.enable()

    def settle(self) -> None:
        """Collect what is old; freeze what survives if it is much."""
        self._is_due = False
        self._full = self._growth = 0.0
        gc.collect()
        if self._full > OLD_SECONDS:
            self._freeze()

    def _freeze(self) -> None:
        gc.freeze()
        self._metrics.count("yurt.collector.freezes")

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        """Note how long a collection took; called by the interpreter, in whichever thread allocated."""
        if phase == "start":
            self._began = self._clock()
            return
        seconds = self._clock() - self._began
        self.longest = max(self.longest, seconds)
        self._metrics.sample("yurt.collector.pause", seconds * 1000, (("generation", str(info["generation"])),))
        if info["generation"]:
            self._full = seconds
            return
        self._growth += seconds
        if self._growth >= GROWTH_SECONDS and not self._is_due and self._later is not None:
            self._is_due = True
            self._later(self.settle)
