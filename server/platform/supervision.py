"""Long-lived tasks and threads of an agent: none dies unseen, each starts again, health tells which are down.

A supervisor is the only place that starts tasks which outlive the call that starts them (`tests/test_tidy.py`). An
unexpected error is logged with its trace, counted, and answered by a new start of the same work after a pause that
doubles with each failure in a row. A cancellation that the owner did not ask for is an unexpected error too.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from yurt.fsm.errors import YurtError

if TYPE_CHECKING:
    from yurt.server.telemetry.metrics import Metrics

log = logging.getLogger("supervision")

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.1, 10.0
STEADY_SECONDS = 60.0  # after so long without a failure the pauses begin anew
FAILURES, DOWN = "yurt.tasks.failures", "yurt.tasks.down"

Work = Callable[[], Coroutine[Any, Any, None]]
Supervise = Callable[[Work], "Supervised"]
Count = Callable[[str, float], None]


class Failures:
    """The failures in a row of one piece of work; times are seconds of one monotonic clock."""

    __slots__ = ("_failed_at", "_pause", "well_at")

    def __init__(self) -> None:
        self._failed_at, self._pause, self.well_at = 0.0, 0.0, 0.0

    def add(self, now: float) -> float:
        """Note a failure; return the pause before the next start.

        The work counts as down until it has run again for as long as that pause.
        """
        steady = now - self._failed_at > STEADY_SECONDS + self._pause
        self._pause = PAUSE_SECONDS if steady or not self._pause else min(2 * self._pause, PAUSE_SECONDS_MAX)
        self._failed_at, self.well_at = now, now + 2 * self._pause
        return self._pause


class Supervised:
    """One task; awaiting `wait` and calling `stop` need no running work."""

    def __init__(self, supervisor: Supervisor, kind: str, name: str, work: Work) -> None:
        self.kind, self.name, self.failures = kind, name, Failures()
        self._supervisor, self._work = supervisor, work
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(self._ended)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._work()
            except (Exception, asyncio.CancelledError) as error:  # whatever it is: the work goes on
                if asked_to_end():
                    raise
                problem = error
            else:
                return
            pause = self.failures.add(loop.time())
            self._supervisor.failed(self.kind, self.name, problem, pause)
            del problem  # its traceback has this frame
            await asyncio.sleep(pause)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._supervisor.forget(self)
        self._work = _nothing  # its objects need not wait for the collector
        if not task.cancelled() and (error := task.exception()) is not None:
            self._supervisor.failed(self.kind, self.name, error, None)

    @property
    def is_done(self) -> bool:
        """Whether the work returned or was stopped."""
        return self.task.done()

    def stop(self) -> None:
        """End the work, and do not start it again."""
        self.task.cancel()

    async def wait(self) -> None:
        """Wait until the work has returned or was stopped."""
        if not self.task.done():
            await asyncio.wait([self.task])


async def _nothing() -> None:
    """The work of a task that has ended."""


def asked_to_end() -> bool:
    """Return whether the running task was cancelled itself, rather than something that it awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


class Alarm:
    """The callback of a timer."""

    def __init__(self, supervisor: Supervisor, key: tuple[str, str], callback: Callable[[], None]) -> None:
        self._supervisor, self.key, self.callback = supervisor, key, callback

    def ring(self) -> None:
        """Call back; try again after a pause if that fails."""
        try:
            self.callback()
        except Exception as error:  # noqa: BLE001 (whatever it is: the duty goes on)
            self._supervisor.rang(self, error)
        else:
            self._supervisor.rang(self, None)


class Supervisor:
    """All long-lived work of one server or node agent; `count` adds to a metric, by the kind of the work.

    Tasks, threads, and duties that wake by timers: a callback that fails would never set its next timer.
    """

    def __init__(self, count: Count = lambda _kind, _by: None) -> None:
        self._count = count
        self._running: dict[Supervised, None] = {}
        self._short: set[asyncio.Task[Any]] = set()
        self._threads: dict[str, Failures] = {}
        self._timers: dict[str, Failures] = {}
        self.alarms: dict[tuple[str, str], Alarm] = {}  # the newest of each kind and name

    def start(self, kind: str, work: Work, *, name: str = "") -> Supervised:
        """Run `work` until it returns or is stopped; start it again after an unexpected error.

        `kind` is one of a few names; `name` tells apart tasks of a kind.
        """
        self._count(kind, 0.0)
        supervised = Supervised(self, kind, name, work)
        self._running[supervised] = None
        return supervised

    def spawn(self, kind: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` once, in the background; an unexpected error is logged and counted."""
        task = asyncio.get_running_loop().create_task(work)
        self._short.add(task)
        task.add_done_callback(lambda ended: self._done(kind, ended))
        return task

    def _done(self, kind: str, task: asyncio.Task[None]) -> None:
        self._short.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(kind, "", error, None)

    def later(self, kind: str, seconds: float, callback: Callable[[], None], *, name: str = "") -> asyncio.TimerHandle:
        """Call back once; after an unexpected error again, until it succeeds or a newer timer of that name is set."""
        if kind not in self._timers:
            self._count(kind, 0.0)
            self._timers[kind] = Failures()
        alarm = self.alarms[kind, name] = Alarm(self, (kind, name), callback)
        return asyncio.get_running_loop().call_later(seconds, alarm.ring)

    def forget_timer(self, kind: str, name: str = "") -> None:
        """Forget a timer that was cancelled."""
        self.alarms.pop((kind, name), None)

    def rang(self, alarm: Alarm, error: Exception | None) -> None:
        """Forget a timer whose callback succeeded; try one again that failed, unless a newer one stands for it."""
        if error is not None:
            loop = asyncio.get_running_loop()
            pause = self._timers[alarm.key[0]].add(loop.time())
            self.failed(*alarm.key, error, pause)
            if self.alarms.get(alarm.key) is alarm:
                loop.call_later(pause, alarm.ring)
        elif self.alarms.get(alarm.key) is alarm:
            del self.alarms[alarm.key]

    def thread(self, kind: str, work: Callable[[], None]) -> threading.Thread:
        """Run `work` on a thread of its own until it returns; start it again after an unexpected error."""
        self._count(kind, 0.0)
        failures = self._threads[kind] = Failures()

        def run() -> None:
            while True:
                try:
                    work()
                except Exception as error:  # noqa: BLE001 (whatever it is: the work goes on)
                    pause = failures.add(time.monotonic())
                    self.failed(kind, "", error, pause)
                else:
                    break
                time.sleep(pause)
            self._threads.pop(kind, None)

        thread = threading.Thread(target=run, name=kind, daemon=True)
        thread.start()
        return thread

    def failed(self, kind: str, name: str, error: BaseException, pause: float | None) -> None:
        """Log and count an unexpected error; `pause` are the seconds until the work starts again, None for never."""
        self._count(kind, 1.0)
        extra: dict[str, Any] = {"task": f"{kind} {name}".strip(), "error": f"{type(error).__name__}: {error}"}
        if pause is None:
            log.error("task failed", exc_info=error, extra=extra)
        else:
            log.error("task failed; it starts again", exc_info=error, extra={**extra, "seconds": round(pause, 1)})

    def noted(self, kind: str, error: Exception) -> None:
        """Log an error of a command: a refusal or a lost leadership is no failure, anything else is."""
        if isinstance(error, YurtError):
            log.debug("a decision was not committed", extra={"task": kind, "reason": str(error)})
        else:
            self.failed(kind, "", error, None)

    def forget(self, supervised: Supervised) -> None:
        """Drop a task that has ended."""
        self._running.pop(supervised, None)

    @property
    def running(self) -> list[Supervised]:
        """The tasks that run or wait for their next start."""
        return list(self._running)

    @property
    def kinds(self) -> set[str]:
        """The kinds of the work that runs."""
        return {one.kind for one in self._running} | set(self._threads) | set(self._timers)

    def down(self) -> list[str]:
        """Return the work that failed and has not run again for long enough; empty if all is well."""
        now = asyncio.get_running_loop().time()
        tasks = {f"{one.kind} {one.name}".strip() for one in self._running if one.failures.well_at > now}
        timers = {kind for kind, failures in self._timers.items() if failures.well_at > now}
        threads = {kind for kind, failures in list(self._threads.items()) if failures.well_at > time.monotonic()}
        return sorted(tasks | timers | threads)


def failed_tasks(down: list[str]) -> str:
    """Return what health says of tasks that are down."""
    return f"tasks failed and start again, see the log: {', '.join(down[:10])}"


def unsupervised(work: Work) -> Supervised:
    """Run `work` under a supervisor of its own, which only logs."""
    return Supervisor().start("work", work)


def supervisor_of(metrics: Metrics) -> Supervisor:
    """Return a supervisor that counts in `metrics`, which shows how much of the work is down."""

    def count(kind: str, by: float) -> None:
        metrics.count(FAILURES, by=by, labels=(("task", kind),))

    supervisor = Supervisor(count)
    metrics.gauge(DOWN, lambda: float(len(supervisor.down())))
    return supervisor
