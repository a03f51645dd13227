"""`mock_driver`: pretends to run tasks, as its configuration says (spec node-agent §11)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from yurt.fsm.structs.node import Driver as DriverInfo
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.client.drivers.base import DriverError, ExitResult, TaskStart, Usage
from yurt.server.client.drivers.config import decode_config
from yurt.server.client.rotating_log import RotatingLog

_COMMAND = {
    "run_for": "duration", "exit_code": "int", "exit_signal": "int", "exit_err_msg": "text", "signal_error": "text",
    "stdout_string": "text", "stdout_repeat": "int", "stdout_repeat_duration": "duration",
    "stderr_string": "text", "stderr_repeat": "int", "stderr_repeat_duration": "duration",
}  # fmt: skip
_KEYS = {
    **_COMMAND, "start_error": "text", "start_error_recoverable": "bool", "start_block_for": "duration",
    "kill_after": "duration", "plugin_exit_after": "duration", "driver_ip": "text", "driver_advertise": "bool",
    "driver_port_map": "text", "exec_command": _COMMAND,
}  # fmt: skip


class MockHandle:
    """One pretended task."""

    def __init__(self, config: dict[str, Any], task: TaskStart) -> None:
        self._config, self._logs = config, task.logs
        self._stopping = asyncio.Event()
        self.signals: list[str] = []
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> ExitResult:
        config = self._config
        writers = [asyncio.ensure_future(self._write(stream)) for stream in ("stdout", "stderr")]
        ends = [asyncio.ensure_future(self._stopping.wait())]
        seconds = config["run_for"]
        if config["plugin_exit_after"]:
            seconds = min(seconds, config["plugin_exit_after"])
        try:
            await asyncio.wait(ends, timeout=seconds)
            if self._stopping.is_set():
                await asyncio.sleep(config["kill_after"])
                return ExitResult()
            if config["plugin_exit_after"] and seconds < config["run_for"]:
                return ExitResult(exit_code=1, error="the plugin ended")
            if config["run_for"] == 0:
                await asyncio.wait(writers)
            return ExitResult(config["exit_code"], config["exit_signal"], config["exit_err_msg"])
        finally:
            for one in (*writers, *ends):
                one.cancel()

    async def _write(self, stream: str) -> None:
        text = self._config[f"{stream}_string"]
        if not text:
            return
        logs = self._logs
        if logs is None:
            return
        log = RotatingLog(str(logs.directory), f"{logs.task}.{stream}", logs.files, logs.bytes)
        try:
            await self._repeat(stream, text, log)
        finally:
            log.close()

    async def _repeat(self, stream: str, text: str, log: RotatingLog) -> None:
        for count in range(self._config[f"{stream}_repeat"] + 1):
            if count:
                await asyncio.sleep(self._config[f"{stream}_repeat_duration"])
            log.write(text.encode())

    async def wait(self) -> ExitResult:
        """Until it ends."""
        return await asyncio.shield(self._task)

    async def stop(self, seconds: float, signal: str) -> None:
        """It ends at once, or after `kill_after`, but at the latest after so many seconds."""
        self._stopping.set()
        await asyncio.wait([self._task], timeout=seconds)
        if not self._task.done():
            self._config["kill_after"] = 0
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = asyncio.get_running_loop().create_task(_ended(ExitResult(exit_code=137, signal=9)))

    def signal(self, name: str) -> None:
        """Noted, or refused with `signal_error`."""
        if self._config["signal_error"]:
            raise DriverError(self._config["signal_error"])
        self.signals.append(name)

    def usage(self) -> Usage | None:
        """Nothing is used."""
        return None

    def saved(self) -> dict[str, Any] | None:
        """It ends with the agent."""
        return None


async def _ended(result: ExitResult) -> ExitResult:
    return result


class MockDriver:
    """The driver."""

    name = "mock_driver"

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns

    def fingerprint(self) -> DriverInfo:
        """Always there."""
        return DriverInfo(
            attributes={"driver.mock_driver": "true"},
            detected=True,
            healthy=True,
            health_description="Healthy",
            update_time=to_rfc3339(self._now_ns()),
        )

    async def start(self, task: TaskStart) -> MockHandle:
        """Waits `start_block_for`, then fails with `start_error` or starts."""
        decoded = decode_config(task.config, _KEYS)
        await asyncio.sleep(decoded["start_block_for"])
        if decoded["start_error"]:
            raise DriverError(decoded["start_error"], recoverable=decoded["start_error_recoverable"])
        return MockHandle(decoded, task)

    def beside(self, task: TaskStart, saved: dict[str, Any]) -> TaskStart:
        """Never asked for: nothing runs."""
        return task

    async def recover(self, saved: dict[str, Any]) -> MockHandle | None:
        """Pretended tasks end with their agent."""
        return None
