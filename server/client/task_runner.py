"""One task from the allocation's arrival to its end (spec node-agent §6)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from yurt.fsm.structs.allocation import TaskEvent, TaskState
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.policies import RestartPolicy
from yurt.fsm.structs.task import Task
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.client import task_events as events
from yurt.server.client.drivers.base import ConfigError, Driver, DriverError, ExitResult, Handle, Output
from yurt.server.client.lifecycle import DEAD, PENDING, RUNNING, is_poststop
from yurt.server.client.restarts import FAIL, RESTART, Restarts

KILL_TIMEOUT_MAX_NS = 30_000_000_000
T = TypeVar("T")


class TaskRunner:
    """Runs one task; every change of `state` is told to `changed`."""

    def __init__(
        self,
        task: Task,
        policy: RestartPolicy,
        driver: Driver | None,
        *,
        on_success: bool,
        output: Output,
        changed: Callable[[TaskRunner], None],
        kill_timeout_max_ns: int = KILL_TIMEOUT_MAX_NS,
    ) -> None:
        self.task, self._driver, self._output, self._changed = task, driver, output, changed
        self._restarts = Restarts(policy, on_success=on_success)
        self._chance = random.Random(task.name)
        self._kill_timeout_ns = min(task.kill_timeout, kill_timeout_max_ns)
        self.state = TaskState(state=PENDING)
        self.may_run = asyncio.Event()
        self._killing = asyncio.Event()
        self._skip_delay = False
        self._was_set_up = False
        self._run: asyncio.Task[None] | None = None

    # --- what others see and do

    def start(self) -> None:
        """Begin: wait for the task's turn, then run it."""
        self._run = asyncio.get_running_loop().create_task(self._life())

    def emit(self, event: TaskEvent) -> None:
        """Note an event; the newest ten are kept."""
        timed = replace(event, time=time.time_ns())
        kept = (*(self.state.events or ()), timed)[-events.EVENTS_KEPT :]
        self._set(events=kept, failed=self.state.failed or event.fails_task)

    def kill(self, *, reason: str = "", skip_delay: bool = False) -> None:
        """End the task, wherever it is; `wait` tells when it has ended."""
        if self.state.state == DEAD or self._killing.is_set():
            return
        self._skip_delay = skip_delay
        self.emit(events.killing(self._kill_timeout_ns, reason))
        self._killing.set()

    @property
    def is_ending(self) -> bool:
        """Whether it was killed already."""
        return self._killing.is_set()

    def end_unstarted(self) -> None:
        """It was never started and never will be."""
        self._set(state=DEAD, finished_at=to_rfc3339(time.time_ns()))

    def abandon(self) -> None:
        """The agent ends: do nothing more."""
        if self._run is not None:
            self._run.cancel()

    async def wait(self) -> None:
        """Until the task is dead."""
        if self._run is not None:
            await asyncio.wait([self._run])

    # --- its life

    async def _life(self) -> None:
        while not self._killing.is_set():
            await self._unless_killed(self.may_run.wait())
            if self._killing.is_set():
                break
            ended = await self._once()
            if self._killing.is_set():
                break
            decision = self._restarts.decide(ended, time.time_ns(), self._chance.random())
            if decision.action == FAIL:
                self.emit(events.not_restarting(decision.reason))
            if decision.action != RESTART:
                break
            restarts = self.state.restarts + 1
            self._set(state=PENDING, restarts=restarts, last_restart=to_rfc3339(time.time_ns()))
            self.emit(events.restarting(decision.reason, decision.delay_ns))
            await self._unless_killed(asyncio.sleep(decision.delay_ns / 1e9))
        self._set(state=DEAD, finished_at=to_rfc3339(time.time_ns()))

    async def _once(self) -> ExitResult | DriverError:
        """Start the task and see it end, or fail to start."""
        if not self._was_set_up:
            self._was_set_up = True
            self.emit(events.setup())
        try:
            if self._driver is None:
                raise DriverError(f'failed to find the driver "{self.task.driver}"')
            handle = await self._unless_killed(self._driver.start(self.task.config or {}, self._output))
        except ConfigError as error:
            self.emit(events.failed_validation(str(error)))
            return error
        except DriverError as error:
            self.emit(events.driver_failure(str(error)))
            return error
        if handle is None:
            return ExitResult()
        self._set(state=RUNNING, started_at=to_rfc3339(time.time_ns()))
        self.emit(events.started())
        result = await self._unless_killed(handle.wait())
        if result is not None:
            self.emit(events.terminated(result))
            return result
        return await self._kill(handle)

    async def _kill(self, handle: Handle) -> ExitResult:
        delay = self.task.shutdown_delay
        if delay > 0:
            self.emit(events.shutdown_delay(delay, skipped=self._skip_delay))
            if not self._skip_delay:
                await asyncio.wait([asyncio.ensure_future(handle.wait())], timeout=delay / 1e9)
        await handle.stop(self._kill_timeout_ns / 1e9, self.task.kill_signal or "SIGINT")
        result = await handle.wait()
        self.emit(events.terminated(result))
        self.emit(events.killed())
        return result

    async def _unless_killed(self, work: Awaitable[T]) -> T | None:
        """The result of a coroutine, None if the task is killed first."""
        running = asyncio.ensure_future(work)
        killed = asyncio.ensure_future(self._killing.wait())
        try:
            await asyncio.wait((running, killed), return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else None
        finally:
            running.cancel()
            killed.cancel()

    def _set(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)
        self._changed(self)

    @property
    def is_poststop(self) -> bool:
        """Whether it runs after all others."""
        return is_poststop(self.task)
