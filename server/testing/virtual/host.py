"""A machine in virtual time: its clock, which may run at its own rate, its disk, a process that can stand still."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from yurt.fsm.errors import YurtError
from yurt.server.testing.virtual.disk import Crash, SimulatedDisk
from yurt.server.testing.virtual.world import Event, World

DISK_SECONDS = 0.002  # that a sync takes, about
CLOCK_BEGINS = 1000.0


class Host:
    """One machine; its disk stays, its process (an incarnation) lives until the next crash."""

    running: ClassVar[Host | None] = None  # whose process runs now

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.disk = SimulatedDisk()
        self.disk_seconds = DISK_SECONDS
        self.rate = 1.0
        self.paused_until = 0.0
        self.incarnation = 0
        self.loop: asyncio.AbstractEventLoop | None = None  # of the process, if it needs one
        self._held: deque[Callable[[], None]] = deque()  # what came while it stood still

    def __repr__(self) -> str:
        return self.name

    def clock(self) -> float:
        """Seconds by its own monotonic clock: never the true time."""
        return CLOCK_BEGINS + self.world.time * self.rate

    @property
    def is_paused(self) -> bool:
        """Whether the process stands still."""
        return self.world.time < self.paused_until

    def pause(self) -> None:
        """Let it stand still until `resume`; what comes meanwhile waits."""
        self.paused_until = math.inf

    def resume(self) -> None:
        """Let it go on, with what came meanwhile, in its order."""
        self.paused_until = 0.0
        if self._held:
            self.world.later(0.0, self._catch_up)

    def _catch_up(self) -> None:
        while self._held and not self.is_paused:
            self._held.popleft()()

    def mine(self, callback: Callable[[], None]) -> Callable[[], None]:
        """The callback for this incarnation only, and not while it is paused; nothing overtakes what waits."""
        incarnation = self.incarnation

        def now() -> None:
            if self.incarnation != incarnation:
                return
            try:
                self.do(callback)
            except Crash:
                self.power_is_cut()

        def run() -> None:
            if self.incarnation != incarnation:
                return
            if self._held or self.paused_until == math.inf:
                self._held.append(now)
            elif self.is_paused:
                self.world.later(self.paused_until - self.world.time, run)
            else:
                now()

        return run

    def do(self, callback: Callable[[], None]) -> None:
        """Run a callback as this machine's process does: in its event loop, if it has one."""
        if self.loop is None:
            callback()
            return
        outside, before = asyncio._get_running_loop(), Host.running  # of whoever drives the world
        asyncio._set_running_loop(self.loop)
        Host.running = self
        try:
            callback()
        finally:
            asyncio._set_running_loop(outside)
            Host.running = before

    def power_is_cut(self) -> None:
        """Its disk raised `Crash`: it was told to (`disk.crash_at`)."""
        raise Crash


class HostRuntime:
    """The engine's runtime (`server.raft.runtime.Runtime`) in one incarnation of a machine."""

    def __init__(self, host: Host) -> None:
        self._host, self._world = host, host.world
        self._busy_until = 0.0

    def now(self) -> float:
        """The machine's clock."""
        return self._host.clock()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Event:
        """Call back once, in seconds of the machine's clock."""
        return self._world.later(seconds / self._host.rate, self._host.mine(callback))

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back after what is at hand."""
        self._world.later(0.0, self._host.mine(callback))

    def run_disk(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Do it on the disk, after what was asked of it before."""
        latency = self._host.disk_seconds * (0.5 + self._world.chance.random())
        self._busy_until = max(self._busy_until, self._world.time) + latency
        self._world.later(self._busy_until - self._world.time, self._host.mine(lambda: _do(work, done)))

    def run_aside(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Do it beside everything else."""
        seconds = (0.01 + self._host.disk_seconds) * self._world.chance.random()
        self._world.later(seconds, self._host.mine(lambda: _do(work, done)))

    async def close(self) -> None:
        """There are no threads."""


def _do(work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
    try:
        result = work()
    except (YurtError, OSError) as error:
        done(None, error)
    else:
        done(result, None)
