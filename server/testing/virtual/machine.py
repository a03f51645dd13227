"""An agent on virtual time: what servers and nodes have in common."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yurt.server.config.agent import AgentConfig
from yurt.server.config.load import load
from yurt.server.testing.agent import ClusterError
from yurt.server.testing.virtual.clock import VirtualClock
from yurt.server.testing.virtual.host import DISK_SECONDS, Host
from yurt.server.testing.virtual.loop import VirtualLoop
from yurt.server.testing.virtual.network import VirtualNetwork

STOP_SECONDS_MAX = 15.0


class Machine(Host):
    """One agent; `config` are members of its JSON configuration. What it keeps outside the log is in `directory`."""

    def __init__(
        self, clock: VirtualClock, network: VirtualNetwork, directory: Path, name: str, config: dict[str, Any]
    ) -> None:
        super().__init__(clock.world, name)
        self._time, self.network, self.directory = clock, network, directory
        self.config: AgentConfig = load([], {"name": name, "data_dir": str(directory), **config})
        self.lines: list[str] = []  # of its log
        self._clock_seconds = 0.0
        self._is_up = False

    @property
    def address(self) -> str:
        """There is none: raises `ClusterError`."""
        raise ClusterError(
            f"{self.name} lives on virtual time and has no address: ask with cluster.api() or {self.name}.request(), "
            "or start processes (without in_process=True)"
        )

    def wall_clock_ns(self) -> int:
        """Nanoseconds since 1970: the date of the cluster's clock, moved as it was asked for."""
        return self._time.unix_ns() + int(self._clock_seconds * 1e9)

    # --- the process

    @property
    def is_running(self) -> bool:
        """Whether it is there (perhaps paused)."""
        return self._is_up

    def start(self) -> Machine:
        """Start it; it takes part as time passes."""
        if self._is_up:
            return self
        self.incarnation += 1
        super().resume()
        self._say("starts")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.loop = VirtualLoop(self, self.lines)  # type: ignore[abstract]  # what is not there says so when asked
        self._is_up = True
        self.do(self._begin)
        return self

    @abstractmethod
    def _begin(self) -> None:
        """In its loop: make what there is, and start it."""

    def _gone(self) -> None:
        """Its process is no more."""
        self.incarnation += 1
        self._is_up = False
        super().resume()

    def kill(self) -> None:
        """Lose power: what was not synced survives in any combination."""
        if self._is_up:
            self._say("is killed")
            self._gone()
            self.disk.crash(self.world.chance)

    def power_is_cut(self) -> None:
        """Between two calls of the disk, as its `crash_at` says."""
        self.kill()

    def end(self) -> None:
        """Make sure that it is gone."""
        if self._is_up:
            self._gone()

    def stop(self) -> int:
        """Stop it cleanly; the exit code."""
        if self._is_up:
            super().resume()
            if not self.done(self._stopping, STOP_SECONDS_MAX):
                self.kill()
                raise ClusterError(f"{self.name} did not stop within {STOP_SECONDS_MAX:.0f} s and was killed")
            self._say("has stopped")
            self._gone()
        return 0

    @abstractmethod
    async def _stopping(self) -> None:
        """In its loop: end everything in order."""

    def done(self, work: Callable[[], Any], seconds: float) -> bool:
        """Let a coroutine function run on this machine, and time pass until it has ended; False if it takes longer."""
        ended: list[bool] = []

        async def run() -> None:
            await work()
            ended.append(True)

        def begin() -> None:
            asyncio.get_running_loop().create_task(run())

        self.mine(begin)()
        incarnation, deadline = self.incarnation, self.world.time + seconds
        return self._time.run_while(lambda: not ended and incarnation == self.incarnation, deadline)

    def break_on_purpose(
        self, *, sync_seconds: float | None = None, full: bool | None = None, clock_seconds: float | None = None
    ) -> None:
        """Faults of disk and clock; those that are not given stay as they are."""
        if sync_seconds is not None:
            self.disk_seconds = DISK_SECONDS + sync_seconds
        if full is not None:
            self.disk.capacity = self.disk.used() if full else None
        if clock_seconds is not None:
            self._clock_seconds = clock_seconds

    # --- its log

    def _say(self, text: str) -> None:
        self.lines.append(f"{self.world.time:10.4f} {self.name} {text}")

    def hear(self, record: logging.LogRecord) -> None:
        """A line of the product's log, by the process that runs now."""
        self._say(f"{record.levelname} {record.name}: {record.getMessage()}")

    def log(self, characters: int = 0) -> str:
        """Return the last `characters` of the machine's log, from warnings on; all of it with 0."""
        text = "\n".join(self.lines)
        return text[-characters:] if characters else text
