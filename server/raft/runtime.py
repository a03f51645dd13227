"""The runtime that drives the engine: a clock, timers, one disk thread, threads aside. A simulation brings its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

ASIDE_THREADS = 3

Done = Callable[[Any, BaseException | None], None]


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """It will not."""


class Runtime(Protocol):
    """Time and threads. Callbacks run in the loop, one at a time."""

    def now(self) -> float:
        """Seconds that never go back and go on in suspend."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back after what is at hand."""

    def run_disk(self, work: Callable[[], Any], done: Done) -> None:
        """Do `work` on the one disk thread, in order; then call `done(result, error)` in the loop."""

    def run_aside(self, work: Callable[[], Any], done: Done) -> None:
        """Do long `work` elsewhere, perhaps beside other such work; then call `done(result, error)` in the loop."""

    async def close(self) -> None:
        """End the threads when their work is done."""


class AsyncioRuntime:
    """The running asyncio loop, a disk thread, and threads aside: one may wait for a process, one moves bytes.

    `fatal` takes the error of a callback: an engine whose timer broke would never campaign or send a heartbeat again.
    """

    def __init__(self, fatal: Callable[[BaseException], None] | None = None) -> None:
        self._loop, self._fatal = asyncio.get_running_loop(), fatal
        self._disk = ThreadPoolExecutor(1, "raft-disk")
        self._aside = ThreadPoolExecutor(ASIDE_THREADS, "raft-aside")

    def now(self) -> float:
        """CLOCK_BOOTTIME, in seconds."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once, in `seconds`."""
        return self._loop.call_later(seconds, self._call, callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back after what is at hand."""
        self._loop.call_soon(self._call, callback)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            if self._fatal is None:
                raise
            self._fatal(error)

    def run_disk(self, work: Callable[[], Any], done: Done) -> None:
        """Do `work` on the disk thread."""
        self._run(self._disk, work, done)

    def run_aside(self, work: Callable[[], Any], done: Done) -> None:
        """Do `work` on a thread aside."""
        self._run(self._aside, work, done)

    def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Any], done: Done) -> None:
        def finished(future: Future[Any]) -> None:
            error = future.exception()
            result = None if error else future.result()
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._call, partial(done, result, error))

        pool.submit(work).add_done_callback(finished)

    async def close(self) -> None:
        """End the threads when their work is done."""
        for pool in (self._disk, self._aside):
            await self._loop.run_in_executor(None, pool.shutdown)
