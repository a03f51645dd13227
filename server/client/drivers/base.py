"""The interface of task drivers (spec node-agent §11). A custom driver implements `Driver`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.node import Driver as DriverInfo


class DriverError(YurtError):
    """The task could not be started; `recoverable`: another try may help."""

    def __init__(self, text: str, *, recoverable: bool = False) -> None:
        super().__init__(text)
        self.recoverable = recoverable


class ConfigError(DriverError):
    """The task's configuration is not one of this driver."""


@dataclass(frozen=True, slots=True)
class ExitResult:
    """How a task ended."""

    exit_code: int = 0
    signal: int = 0
    error: str = ""
    oom_killed: bool = False

    @property
    def is_success(self) -> bool:
        """Whether it ended as it should."""
        return self.exit_code == 0 and self.signal == 0 and not self.error


@dataclass(frozen=True, slots=True)
class Logs:
    """Where output goes: `DIRECTORY/TASK.stdout.N` and `.stderr.N`, so many files of so many bytes."""

    directory: Path
    task: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TaskStart:
    """All that a driver gets to start a task: interpolated already.

    `state` is a directory of the agent's own for the driver's files about this task; `logs` is None if output is not
    kept. `memory_bytes` and `cpu_shares` are what the scheduler gave it.
    """

    id: str
    config: dict[str, Any]
    env: Mapping[str, str]
    user: str
    directory: Path
    state: Path
    logs: Logs | None
    memory_bytes: int = 0
    cpu_shares: int = 0
    inherited: frozenset[str] = frozenset()  # names in `env` that are the agent's own
    inside: tuple[int, dict[str, Any]] | None = None  # of a running isolated task: its first process and its user


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a running task: processor seconds in all, bytes now, its processes."""

    user_seconds: float
    system_seconds: float
    resident_bytes: int
    pids: tuple[int, ...]


class Handle(Protocol):
    """A task that was started."""

    async def wait(self) -> ExitResult:
        """Until it ends; may be asked again."""

    async def stop(self, seconds: float, signal: str) -> None:
        """Ask it to end, make it end after so many seconds; returns when it has ended."""

    def signal(self, name: str) -> None:
        """Send a signal; raises DriverError."""

    def usage(self) -> Usage | None:
        """Return the task's usage; None if it is not known."""

    def saved(self) -> dict[str, Any] | None:
        """Return the data by which `Driver.recover` finds the task again; None if the task ends with the agent."""


class Driver(Protocol):
    """Starts tasks of one kind.

    A driver may have `default_user`, as whom tasks run that name nobody (without it: as the agent), and `makes_root`,
    which says that the task's directory becomes the root of its file system.
    """

    name: str

    def fingerprint(self) -> DriverInfo:
        """Return the node's attributes and health of this driver."""

    async def start(self, task: TaskStart) -> Handle:
        """Start a task; raises `DriverError`."""

    def beside(self, task: TaskStart, saved: dict[str, Any]) -> TaskStart:
        """How a command beside a running task is run: with which environment, and where."""

    async def recover(self, saved: dict[str, Any]) -> Handle | None:
        """The task that an earlier agent started; None if it cannot be found."""
