"""What the task runner asks of a driver (spec node-agent §11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from yurt.fsm.errors import YurtError
from yurt.fsm.structs.node import Driver as DriverInfo

Output = Callable[[str, str], None]  # stream (`stdout`, `stderr`) and text


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


class Handle(Protocol):
    """A task that was started."""

    async def wait(self) -> ExitResult:
        """Until it ends; may be asked again."""

    async def stop(self, seconds: float, signal: str) -> None:
        """Ask it to end, make it end after so many seconds; returns when it has ended."""

    def signal(self, name: str) -> None:
        """Send a signal; raises DriverError."""


class Driver(Protocol):
    """Starts tasks of one kind."""

    name: str

    def fingerprint(self) -> DriverInfo:
        """What the node says of the driver."""

    async def start(self, config: dict[str, Any], output: Output) -> Handle:
        """Start a task; raises `DriverError`."""
