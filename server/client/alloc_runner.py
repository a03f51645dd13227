"""One allocation on this node: its tasks, their order, their end, what is reported (spec node-agent §3, §4, §8)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from yurt.fsm.commands_nodes import AllocUpdate
from yurt.fsm.structs.allocation import Allocation, AllocDeploymentStatus, TaskState
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import SERVICE, SYSTEM
from yurt.fsm.structs.policies import RestartPolicy
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.client import task_events as events
from yurt.server.client.allocdir import AllocDir, Escapes
from yurt.server.client.checks import CheckResult
from yurt.server.client.drivers.base import DriverError
from yurt.server.client.environment import Environment
from yurt.server.client.health import HealthWatcher, rules_of
from yurt.server.client.lifecycle import DEAD, RUNNING, Lifecycle, client_status, is_main, is_sidecar
from yurt.server.client.offers import GROUP, Offers
from yurt.server.client.preparing import Preparation
from yurt.server.client.saved import SavedAlloc, SavedTask
from yurt.server.client.surroundings import Surroundings
from yurt.server.client.task_runner import NotRunning, TaskRunner
from yurt.server.platform.supervision import Supervised, Work

TOO_LONG = "allocation exceeded max_run_duration"


class AllocRunner:
    """Runs the tasks of one allocation; `report` is called whenever what there is to report has changed."""

    def __init__(
        self, allocation: Allocation, surroundings: Surroundings, report: Callable[[AllocRunner], None]
    ) -> None:
        self.allocation, self._report = allocation, report
        self.directory = AllocDir(surroundings.alloc_dir, allocation.id)
        self.surroundings = surroundings
        job = allocation.job
        group = job.group(allocation.task_group) if job is not None else None
        self._group = group or TaskGroup()
        tasks = self._group.tasks or ()
        kind = job.type if job is not None else ""
        self._preparations = {task.name: Preparation(surroundings, self.directory, allocation, task) for task in tasks}
        self._offers = Offers(
            self._group,
            surroundings.registrar,
            self._environment,
            changed=self._check_changed,
            restart=self._check_failed,
            now_ns=surroundings.now_ns,
            supervise=partial(self._supervise, "health check"),
        )
        self.runners = {
            task.name: TaskRunner(
                task,
                task.restart_policy or self._group.restart_policy or RestartPolicy(),
                surroundings.drivers.get(task.driver),
                on_success=(kind in (SERVICE, SYSTEM) and is_main(task)) or is_sidecar(task),
                preparing=self._preparations[task.name],
                changed=self._task_changed,
                kill_timeout_max_ns=surroundings.kill_timeout_max_ns,
                now_ns=surroundings.now_ns,
                supervise=partial(self._supervise, "task"),
            )
            for task in tasks
        }
        self._lifecycle = Lifecycle(tasks)
        self._health = allocation.deployment_status if allocation.deployment_status else None
        self._watcher: HealthWatcher | None = None
        self._work: Supervised | None = None
        self._killing: Supervised | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._exceeded = False
        self.ended = asyncio.Event()
        self.ended_at = 0.0
        self.is_collected = False

    # --- what the agent does with it

    def start(self, previous: list[AllocRunner]) -> None:
        """Run the tasks once the allocations that this one replaces on this node have ended."""
        self._work = self._supervise("allocation", partial(self._begin, previous))

    def _supervise(self, kind: str, work: Work) -> Supervised:
        return self.surroundings.supervisor.start(kind, work, name=self.allocation.id)

    async def _begin(self, previous: list[AllocRunner]) -> None:
        for runner in self.runners.values():
            runner.emit(events.received())
        for other in previous:
            await other.ended.wait()
        try:
            for name in self.runners:
                self.directory.task(name)
            self.directory.build([preparation.owner() for preparation in self._preparations.values()])
        except (OSError, Escapes) as error:
            self._cannot_be_set_up(error)
            return
        self._go_on()

    def _cannot_be_set_up(self, error: OSError | Escapes) -> None:
        for runner in self.runners.values():
            runner.emit(events.setup_failure(f"failed to setup alloc: {error}"))
            runner.end_unstarted()

    def _go_on(self) -> None:
        self._offers.start(GROUP, self.allocation, self.surroundings.node.datacenter)
        for runner in self.runners.values():
            if runner.state.state != DEAD:
                runner.start()
        if self._group.max_run_duration:
            loop = asyncio.get_running_loop()
            self._limit = loop.call_later(self._group.max_run_duration / 1e9, self._run_too_long)
        self._watch_health()
        self._advance()

    async def restore(self, saved: SavedAlloc) -> None:
        """Find again what an earlier agent left running; what has ended stays so."""
        self._health = saved.health
        for name, runner in self.runners.items():
            if (task := saved.tasks.get(name)) is not None:
                await runner.restore(task.state, task.handle, self.surroundings.contact)
        self._go_on()

    def saved(self) -> SavedAlloc:
        """Return the state that the next agent needs."""
        tasks = {name: SavedTask(one.state, one.saved()) for name, one in self.runners.items()}
        return SavedAlloc(self.allocation, tasks, self._health, self.allocation.alloc_modify_index)

    async def restart(self, task: str, *, every: bool = False) -> None:
        """Restart one task, all that run, or (`every`) all of them from the first hook on; raises DriverError."""
        if task:
            await self._runner(task).restart("User requested task to restart")
            return
        running = [one for one in self.runners.values() if one.state.state == RUNNING]
        if not running or self.ended.is_set():
            raise NotRunning
        reason = f"User requested {'all' if every else 'running'} tasks to restart"
        if every:
            self._lifecycle = Lifecycle(self._group.tasks or ())
            for one in self.runners.values():
                one.may_run.clear()
                one.revive()
        await asyncio.gather(*(one.restart(reason) for one in running))
        self._advance()

    def signal(self, task: str, name: str) -> None:
        """Send a signal to one task or to all; raises DriverError."""
        for one in [self._runner(task)] if task else list(self.runners.values()):
            one.signal(name)

    @property
    def mhz(self) -> float:
        """The frequency that one processor of the node counts for."""
        resources = self.surroundings.node.node_resources
        return resources.cpu.cpu_shares / (resources.cpu.total_cpu_cores or 1) if resources is not None else 0.0

    def _runner(self, task: str) -> TaskRunner:
        if task not in self.runners:
            raise DriverError("Task not found")
        return self.runners[task]

    def update(self, allocation: Allocation) -> None:
        """The servers changed the allocation."""
        redeployed = allocation.deployment_id != self.allocation.deployment_id
        self.allocation = allocation
        self._offers.renew(allocation, self.surroundings.node.datacenter)
        if allocation.is_server_terminal:
            marks = allocation.desired_transition
            self.kill(skip_delay=bool(marks and marks.no_shutdown_delay))
        elif redeployed:
            self._health = None
            self._watch_health()

    def kill(self, *, reason: str = "", skip_delay: bool = False, poststop: bool = False) -> None:
        """End all tasks in order; poststop tasks run after them, unless they are to end too."""
        if self._watcher is not None:
            self._watcher.stop()
        if self._killing is None:
            self._killing = self._supervise("allocation end", partial(self._kill, reason, skip_delay, poststop))

    async def _kill(self, reason: str, skip_delay: bool, poststop: bool) -> None:
        self._offers.stop(GROUP)
        if self._group.shutdown_delay and not skip_delay:
            await asyncio.sleep(self._group.shutdown_delay / 1e9)
        live = [one for one in self.runners.values() if poststop or not one.is_poststop]
        leaders = [one for one in live if one.task.leader]
        sidecars = [one for one in live if is_sidecar(one.task)]
        others = [one for one in live if one not in leaders and one not in sidecars]
        for part in (leaders, others, sidecars):
            for runner in part:
                runner.kill(reason=reason, skip_delay=skip_delay)
            for runner in part:
                await runner.wait()
        if self._work is not None and not self._work.is_done:
            self._work.stop()  # it still waits for the one before it
            for runner in self.runners.values():
                if runner.state.state != DEAD:
                    runner.end_unstarted()

    def forgotten(self) -> None:
        """The servers know nothing of it any more: it ends, and nothing more is said of it."""
        self._report = _unsaid
        self.kill()

    def stop(self) -> None:
        """Forget the tasks: the agent ends."""
        self._offers.abandon()
        for task in (self._work, self._killing):
            if task is not None:
                task.stop()
        if self._watcher is not None:
            self._watcher.stop()
        if self._limit is not None:
            self._limit.cancel()
        for runner in self.runners.values():
            runner.abandon()

    def close(self) -> None:
        """Let go of all parts of an allocation that is removed.

        They refer to each other, and the cycle collector hardly ever looks at objects as old as these.
        """
        self.stop()
        self._report, self._work, self._killing, self._watcher, self._limit = _unsaid, None, None, None, None
        self._offers.close()
        for runner in self.runners.values():
            runner.close()
        self.runners = {}
        self._preparations = {}

    def _run_too_long(self) -> None:
        if not self.ended.is_set():
            self._exceeded = True
            self.kill(reason=TOO_LONG, poststop=True)

    # --- what its tasks do

    def _states(self) -> dict[str, TaskState]:
        return {name: runner.state for name, runner in self.runners.items()}

    def _task_changed(self, runner: TaskRunner) -> None:
        self._offer(runner)
        if runner.state.state == DEAD:
            self._one_died(runner)
        self._advance()
        if self._watcher is not None:
            self._watcher.changed()
        self._report(self)

    def _offer(self, runner: TaskRunner) -> None:
        """A task's services are there while it runs, and no longer when it is asked to end."""
        name, wanted = runner.task.name, runner.state.state == RUNNING and not runner.is_ending
        if wanted and not self._offers.is_offered(name):
            self._offers.start(name, self.allocation, self.surroundings.node.datacenter)
        elif not wanted:
            self._offers.stop(name)

    def _environment(self, task: str) -> Environment:
        """Return the environment of `task`; if it is empty, that of any task, as the base of the group's."""
        name = task or next(iter(self._preparations))
        return self._preparations[name].environment()

    def checks(self) -> dict[str, CheckResult]:
        """The newest results of the health checks, by their IDs."""
        return {one.id: one.told(self.allocation.name) for one in self._offers.checks()}

    def _check_changed(self) -> None:
        if self._watcher is not None:
            self._watcher.changed()

    def _check_failed(self, task: str, reason: str) -> None:
        """A check asks for a restart: of its task, or of all for a check of the group."""
        for runner in self.runners.values():
            if task in ("", runner.task.name) and runner.state.state == RUNNING and not runner.is_ending:
                self.surroundings.supervisor.spawn("task restart", _restarted(runner, reason))

    def _one_died(self, runner: TaskRunner) -> None:
        if runner.is_poststop:
            return
        live = [one for one in self.runners.values() if one.state.state != DEAD and not one.is_poststop]
        if runner.state.failed:
            self._end(live, events.sibling_failed(runner.task.name))
        elif runner.task.leader:
            self._end(live, events.leader_dead())
        elif live and all(is_sidecar(one.task) for one in live):
            self._end(live, events.main_tasks_dead())

    @staticmethod
    def _end(live: list[TaskRunner], event: Any) -> None:
        for one in live:
            if not one.is_ending:
                one.emit(event)
                one.kill()

    def _advance(self) -> None:
        states = self._states()
        allowed = self._lifecycle.advance(states)
        for name, runner in self.runners.items():
            if name in allowed:
                runner.may_run.set()
            else:
                runner.may_run.clear()
        if all(state.state == DEAD for state in states.values()) and not self.ended.is_set():
            self.ended.set()
            self.ended_at = self.surroundings.now_ns() / 1e9
            self._offers.stop_all()
            if self._limit is not None:
                self._limit.cancel()
            self._report(self)

    # --- health

    def _watch_health(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        rules = rules_of(self.allocation)
        known = self._health is not None and self._health.healthy is not None
        if rules is not None and not known and not self.allocation.is_server_terminal:
            runners, now_ns = list(self.runners.values()), self.surroundings.now_ns
            supervise = partial(self._supervise, "health")
            self._watcher = HealthWatcher(rules, runners, self._decided, self._offers.checks, now_ns, supervise)

    def _decided(self, healthy: bool, reasons: dict[str, str]) -> None:
        if self.allocation.deployment_id:
            for name, reason in reasons.items():
                self.runners[name].emit(events.unhealthy(reason))
        self._health = AllocDeploymentStatus(healthy=healthy, timestamp=to_rfc3339(self.surroundings.now_ns()))
        self._report(self)

    # --- what is reported

    def current(self) -> AllocUpdate:
        """Return the update that the servers should have of this allocation."""
        states = self._states()
        status, description = client_status(states)
        if self._exceeded and self.ended.is_set():
            status, description = "complete", TOO_LONG
        health = self._health
        undecided = health is None or health.healthy is None
        if status == "failed" and self.allocation.deployment_id and undecided:
            health = AllocDeploymentStatus(healthy=False, timestamp=to_rfc3339(self.surroundings.now_ns()))
            self._health = health
        return AllocUpdate(
            id=self.allocation.id,
            node_id=self.allocation.node_id,
            client_status=status,
            client_description=description,
            task_states=states,
            deployment_status=health,
            network_status={"Address": "", "AddressIPv6": "", "DNS": None, "InterfaceName": ""},
        )


def ended_elsewhere(allocation: Allocation, now_ns: int) -> AllocUpdate:
    """Return the update for an allocation that is to end and that this agent does not run (any more)."""
    now = to_rfc3339(now_ns)
    states = {
        name: replace(state, state=DEAD, finished_at=state.finished_at or now)
        for name, state in (allocation.task_states or {}).items()
    }
    return AllocUpdate(
        id=allocation.id,
        node_id=allocation.node_id,
        client_status="complete",
        client_description="All tasks have completed",
        task_states=states,
        network_status=allocation.network_status,
    )


async def _restarted(runner: TaskRunner, reason: str) -> None:
    with contextlib.suppress(DriverError):  # it has ended by itself
        await runner.restart(reason, counts=True)


def _unsaid(_runner: AllocRunner) -> None:
    """Nobody wants to know."""
