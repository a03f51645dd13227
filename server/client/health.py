"""Whether an allocation is healthy for its deployment or migration (spec node-agent §14, scheduling §8.4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.job import SERVICE, SYSTEM
from yurt.fsm.structs.policies import MigrateStrategy
from yurt.fsm.structs.task import Task
from yurt.fsm.structs.times import SECOND, from_rfc3339
from yurt.server.client.checks import SUCCESS, Watched
from yurt.server.client.lifecycle import DEAD, RUNNING, is_main, is_poststop, is_sidecar
from yurt.server.client.task_runner import TaskRunner
from yurt.server.platform.supervision import Supervise, unsupervised

MIN_HEALTHY_NS = 10 * SECOND
DEADLINE_NS = 300 * SECOND
MANUAL, CHECKS = "manual", "checks"


@dataclass(frozen=True, slots=True)
class Rules:
    """How long all tasks must run, and until when they may begin to, in nanoseconds."""

    min_healthy_ns: int
    deadline_ns: int
    by_checks: bool = False


def rules_of(allocation: Allocation) -> Rules | None:
    """The rules by which an allocation is watched; None if it is not."""
    job = allocation.job
    group = job.group(allocation.task_group) if job is not None else None
    if job is None or group is None or job.type not in (SERVICE, SYSTEM):
        return None
    given = group.update if allocation.deployment_id else group.migrate or MigrateStrategy()
    if given is None or given.health_check == MANUAL:
        return None
    deadline = given.healthy_deadline or DEADLINE_NS
    return Rules(given.min_healthy_time or MIN_HEALTHY_NS, deadline, given.health_check in ("", CHECKS))


def failing(runners: list[TaskRunner]) -> dict[str, str]:
    """Task → why it makes the allocation unhealthy at once."""
    found = {}
    for runner in runners:
        state, task = runner.state, runner.task
        if is_poststop(task) or state.state != DEAD:
            continue
        if state.failed:
            found[task.name] = "Unhealthy because of failed task"
        elif _must_run(task):
            found[task.name] = "Unhealthy because of dead task"
    return found


def _must_run(task: Task) -> bool:
    return is_main(task) or is_sidecar(task)


def running_since(runners: list[TaskRunner]) -> int | None:
    """Since when (nanoseconds) everything runs that must; None if something does not."""
    latest = 0
    for runner in runners:
        state = runner.state
        if is_poststop(runner.task):
            continue
        if _must_run(runner.task):
            if state.state != RUNNING or not state.started_at:
                return None
            latest = max(latest, from_rfc3339(state.started_at))
        elif state.state != DEAD or state.failed:
            return None
    return latest


class HealthWatcher:
    """Decides once: calls `decided(healthy, {task: reason})`."""

    def __init__(
        self,
        rules: Rules,
        runners: list[TaskRunner],
        decided: Callable[[bool, dict[str, str]], None],
        checks: Callable[[], list[Watched]] = list,
        now_ns: Callable[[], int] = time.time_ns,
        supervise: Supervise = unsupervised,
    ) -> None:
        self._now_ns = now_ns
        self._rules, self._runners, self._decided, self._checks = rules, runners, decided, checks
        self._changed = asyncio.Event()
        self._deadline = now_ns() + rules.deadline_ns
        self._task = supervise(self._watch)

    def changed(self) -> None:
        """A task's state changed."""
        self._changed.set()

    def stop(self) -> None:
        """Decide nothing any more."""
        self._task.stop()

    async def _watch(self) -> None:
        deadline = self._deadline
        while True:
            self._changed.clear()
            now = self._now_ns()
            if reasons := failing(self._runners):
                self._decided(False, reasons)
                return
            since = self._since()
            healthy_at = None if since is None else since + self._rules.min_healthy_ns
            if healthy_at is not None and now >= healthy_at:
                self._decided(True, {})
                return
            if now >= deadline:
                self._decided(False, self._late())
                return
            due = deadline if healthy_at is None else min(deadline, healthy_at)
            try:
                async with asyncio.timeout(max(0.001, (due - now) / 1e9)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _counted(self) -> list[Watched]:
        """The checks that a deployment waits for."""
        return [one for one in self._checks() if not one.is_readiness] if self._rules.by_checks else []

    def _since(self) -> int | None:
        """Since when all runs and all checks pass."""
        since = running_since(self._runners)
        checks = self._counted()
        if since is None or any(one.status != SUCCESS for one in checks):
            return None
        return max([since, *(one.since_ns for one in checks)])

    def _late(self) -> dict[str, str]:
        found = {}
        checks = self._counted()
        passing = [one for one in checks if one.status == SUCCESS]
        until = f"by healthy_deadline of {format_duration(self._rules.deadline_ns)}"
        for runner in self._runners:
            if not is_main(runner.task):
                continue
            if runner.state.state == RUNNING and len(passing) < len(checks):
                found[runner.task.name] = f"Only {len(passing)} out of {len(checks)} checks registered and passing"
            elif runner.state.state != RUNNING:
                found[runner.task.name] = f"Task not running {until}"
            else:
                least = format_duration(self._rules.min_healthy_ns)
                found[runner.task.name] = f"Task not running for min_healthy_time of {least} {until}"
        return found
