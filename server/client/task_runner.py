"""One task from the allocation's arrival to its end (spec node-agent §6)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from yurt.fsm.structs.allocation import TaskEvent, TaskState
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.policies import RestartPolicy
from yurt.fsm.structs.task import Task
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.client import task_events as events
from yurt.server.client.drivers.base import ConfigError, Driver, DriverError, ExitResult, Handle, TaskStart, Usage
from yurt.server.client.lifecycle import DEAD, PENDING, RUNNING, is_poststop
from yurt.server.client.preparing import Emit, HookError
from yurt.server.client.restarts import FAIL, RESTART, STOP, Decision, Restarts
from yurt.server.client.surroundings import KILL_TIMEOUT_MAX_NS
from yurt.server.platform.supervision import Supervise, Supervised, unsupervised

T = TypeVar("T")
KILL_TRIES = 5


class Preparing(Protocol):
    """The preparation before a start (`preparing.Preparation`)."""

    async def prepare(self, emit: Emit) -> TaskStart:
        """Do it; raises `HookError`."""

    def describe(self) -> TaskStart:
        """How the task is started, without doing anything."""

    def interpolate(self, text: str) -> str:
        """A text with the references replaced."""


class NotRunning(DriverError):
    """The request needs a running task."""

    def __init__(self) -> None:
        super().__init__("Task not running")


class TaskRunner:
    """Runs one task; every change of `state` is told to `changed`."""

    def __init__(
        self,
        task: Task,
        policy: RestartPolicy,
        driver: Driver | None,
        *,
        on_success: bool,
        preparing: Preparing,
        changed: Callable[[TaskRunner], None],
        kill_timeout_max_ns: int = KILL_TIMEOUT_MAX_NS,
        now_ns: Callable[[], int] = time.time_ns,
        supervise: Supervise = unsupervised,
    ) -> None:
        self.task, self._driver, self._preparing, self._changed = task, driver, preparing, changed
        self._now_ns = now_ns
        self._restarts = Restarts(policy, on_success=on_success)
        self._chance = random.Random(task.name)
        self._kill_timeout_ns = min(task.kill_timeout, kill_timeout_max_ns)
        self.state = TaskState(state=PENDING)
        self.may_run = asyncio.Event()
        self._killing = asyncio.Event()
        self._skip_delay = False
        self._was_set_up = False
        self._handle: Handle | None = None
        self._restart_asked = False
        self._supervise = supervise
        self._run: Supervised | None = None
        self._contact: asyncio.Event | None = None  # to be waited for before the first start

    # --- what others see and do

    def start(self) -> None:
        """Begin: wait for the task's turn, then run it."""
        if self._run is None or self._run.is_done:
            self._run = self._supervise(self._life)

    def emit(self, event: TaskEvent) -> None:
        """Note an event; the newest ten are kept."""
        timed = replace(event, time=self._now_ns())
        kept = (*(self.state.events or ()), timed)[-events.EVENTS_KEPT :]
        self._set(events=kept, failed=self.state.failed or event.fails_task)

    def kill(self, *, reason: str = "", skip_delay: bool = False) -> None:
        """End the task, wherever it is; `wait` tells when it has ended."""
        if self.state.state == DEAD or self._killing.is_set():
            return
        self._skip_delay = skip_delay
        self._killing.set()
        self.emit(events.killing(self._kill_timeout_ns, reason))

    async def restart(self, reason: str, *, counts: bool = False) -> None:
        """End the process, and start it anew at once, or as after a failure if that `counts`. Raises `NotRunning`."""
        handle = self._handle
        if handle is None or self.state.state != RUNNING or self._killing.is_set():
            raise NotRunning
        self.emit(events.restart_signaled(reason))
        self._restart_asked = not counts
        await handle.stop(self._kill_timeout_ns / 1e9, self.task.kill_signal or "SIGINT")

    def revive(self) -> None:
        """Start a task anew that has ended."""
        if self.state.state == DEAD and not self._killing.is_set():
            self._set(state=PENDING, failed=False, finished_at=None)
            self.start()

    def signal(self, name: str) -> None:
        """Send a signal to the process; an unknown name is an interrupt. Raises DriverError."""
        if self._handle is None or self.state.state != RUNNING:
            raise NotRunning
        self.emit(events.signaling(name if name.startswith("SIG") else ""))
        self._handle.signal(name or "SIGINT")

    def usage(self) -> Usage | None:
        """Return the usage of the running task; None if it does not run."""
        return self._handle.usage() if self._handle is not None and self.state.state == RUNNING else None

    def description(self) -> TaskStart:
        """How the running task was started; raises `NotRunning`, and DriverError if it is only pretended."""
        if self.state.state != RUNNING or self._handle is None:
            raise NotRunning
        saved = self._handle.saved()
        if saved is None:
            raise DriverError(f'driver "{self.task.driver}" runs no commands beside its tasks')
        assert self._driver is not None
        return self._driver.beside(self._preparing.describe(), saved)

    def interpolated(self, text: str) -> str:
        """A text with what the task's environment says in place of its references."""
        return self._preparing.interpolate(text)

    @property
    def is_ending(self) -> bool:
        """Whether it was killed already."""
        return self._killing.is_set()

    def end_unstarted(self) -> None:
        """It was never started and never will be."""
        self._set(state=DEAD, finished_at=to_rfc3339(self._now_ns()))

    def abandon(self) -> None:
        """The agent ends: do nothing more; the process goes on if its driver lets it."""
        if self._run is not None:
            self._run.stop()

    def close(self) -> None:
        """Let go of everything: the task is dead, and its allocation is removed."""
        self._run, self._handle, self._changed, self._supervise = None, None, _unheard, unsupervised

    async def wait(self) -> None:
        """Until the task is dead."""
        if self._run is not None:
            await self._run.wait()

    # --- over a restart of the agent

    def saved(self) -> dict[str, Any] | None:
        """Return the data by which the process is found again; None if there is none."""
        return self._handle.saved() if self._handle is not None and self.state.state == RUNNING else None

    async def restore(self, state: TaskState, handle: dict[str, Any] | None, contact: asyncio.Event) -> None:
        """Be what an earlier agent knew; a process that is not found is started again after `contact` with a server."""
        self.state, self._was_set_up = state, bool(state.started_at)
        if state.state != RUNNING:
            return
        if handle is not None and self._driver is not None:
            self._handle = await self._driver.recover(handle)
        if self._handle is None:
            self._contact = contact
            self._set(state=PENDING)
            self.emit(events.failed_restoring())

    # --- its life

    async def _life(self) -> None:
        if self._contact is not None:
            await self._unless_killed(self._contact.wait())
        while not self._killing.is_set():
            if self._handle is None:
                await self._unless_killed(self.may_run.wait())
                if self._killing.is_set():
                    break
            ended = await self._once()
            self._handle = None
            if self._killing.is_set():
                break
            decision = self._decide(ended)
            if decision.action == FAIL:
                self.emit(events.not_restarting(decision.reason))
            if decision.action != RESTART:
                break
            restarts = self.state.restarts + 1
            self._set(state=PENDING, restarts=restarts, last_restart=to_rfc3339(self._now_ns()))
            self.emit(events.restarting(decision.reason, decision.delay_ns))
            await self._unless_killed(asyncio.sleep(decision.delay_ns / 1e9))
        if self._handle is not None and self._killing.is_set():  # found again, and to end at once
            await self._kill(self._handle)
        self._set(state=DEAD, finished_at=to_rfc3339(self._now_ns()))

    def _decide(self, ended: ExitResult | DriverError) -> Decision:
        if self._restart_asked:
            self._restart_asked = False
            return Decision(RESTART)
        if self.state.failed:
            return Decision(STOP)  # what failed it has said so
        return self._restarts.decide(ended, self._now_ns(), self._chance.random())

    async def _once(self) -> ExitResult | DriverError:
        """Start the task and see it end, or fail to start; a process that was found again is only watched."""
        handle = self._handle
        if handle is None:
            try:
                handle = await self._start()
            except HookError as error:
                self.emit(error.event)
                return error
            except ConfigError as error:
                self.emit(events.failed_validation(str(error)))
                return error
            except DriverError as error:
                self.emit(events.driver_failure(str(error)))
                return error
            if handle is None:
                return ExitResult()
            self._handle = handle
            self._set(state=RUNNING, started_at=to_rfc3339(self._now_ns()))
            self.emit(events.started())
        result = await self._unless_killed(handle.wait())
        if result is not None:
            self.emit(events.terminated(result))
            return result
        return await self._kill(handle)

    async def _start(self) -> Handle | None:
        if not self._was_set_up:
            self._was_set_up = True
            self.emit(events.setup())
        if self._driver is None:
            raise DriverError(f'failed to find the driver "{self.task.driver}"')
        start = await self._unless_killed(self._preparing.prepare(self.emit))
        return None if start is None else await self._unless_cancelled(self._driver.start(start))

    async def _unless_cancelled(self, starting: Awaitable[Handle]) -> Handle | None:
        """The handle, even if the task is killed meanwhile: a process that may exist is never lost sight of."""
        work = asyncio.ensure_future(starting)
        killed = asyncio.ensure_future(self._killing.wait())
        await asyncio.wait((work, killed), return_when=asyncio.FIRST_COMPLETED)
        killed.cancel()
        if self._killing.is_set() and not work.done():
            await asyncio.wait((work,), timeout=1.0)
            if not work.done():  # a driver that waits on purpose
                work.cancel()
                return None
        return work.result()

    async def _kill(self, handle: Handle) -> ExitResult:
        delay = self.task.shutdown_delay
        if delay > 0:
            self.emit(events.shutdown_delay(delay, skipped=self._skip_delay))
            if not self._skip_delay:
                await asyncio.wait([asyncio.ensure_future(handle.wait())], timeout=delay / 1e9)
        for number in range(1, KILL_TRIES + 1):
            try:
                await handle.stop(self._kill_timeout_ns / 1e9, self.task.kill_signal or "SIGINT")
                break
            except DriverError:
                if number == KILL_TRIES:
                    raise
        result = await handle.wait()
        self.emit(events.terminated(result))
        self.emit(events.killed())
        self._handle = None
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


def _unheard(_runner: TaskRunner) -> None:
    """Nobody is told of changes any more."""
