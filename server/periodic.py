"""The leader launches periodic jobs by its clock; every launch is a command in the log."""

from __future__ import annotations

import asyncio
import logging

from yurt.fsm.commands import LaunchPeriodicJob
from yurt.fsm.errors import YurtError
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import JOBS
from yurt.scheduler.duties.periodic import SECOND_NS, Launch, PeriodicDispatcher
from yurt.server.server import Server
from yurt.server.zones import zone

log = logging.getLogger("periodic")

SLEEP_SECONDS_MAX = 60.0  # then the wall clock is looked at again: it may have been set


class PeriodicLaunches:
    """Wakes the dispatcher and proposes what is due."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._dispatcher: PeriodicDispatcher | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        server.engine.on_leadership(self._leadership)
        server.machine.on_commit(self._committed)

    def stop(self) -> None:
        """Launch nothing more."""
        self._leadership(False)
        for task in self._tasks:
            task.cancel()

    def _leadership(self, leads: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not leads:
            self._dispatcher = None
            return
        self._dispatcher = PeriodicDispatcher(zone)
        for launch in self._dispatcher.begin(self._server.view(), self._server.now_ns()):
            self._spawn(launch)
        self._set_timer()

    def _committed(self, _index: int, changes: list[Change]) -> None:
        dispatcher = self._dispatcher
        if dispatcher is None:
            return
        touched = False
        for change in changes:
            row = change.new or change.old
            if change.table is not JOBS or row.periodic is None:
                continue
            touched = True
            if change.new is None:
                dispatcher.forget(row.namespace, row.id)
            else:
                dispatcher.track(row, self._server.now_ns())
        if touched:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._dispatcher.next_deadline() if self._dispatcher is not None else None
        if deadline is not None:
            wait = (deadline - self._server.now_ns()) / SECOND_NS
            self._timer = asyncio.get_running_loop().call_later(min(max(wait, 0.0), SLEEP_SECONDS_MAX), self._wake)

    def _wake(self) -> None:
        if self._dispatcher is not None:
            for launch in self._dispatcher.take(self._server.view(), self._server.now_ns()):
                self._spawn(launch)
            self._set_timer()

    def _spawn(self, launch: Launch) -> None:
        task = asyncio.get_running_loop().create_task(self._launch(launch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _launch(self, launch: Launch) -> None:
        server = self._server
        command = LaunchPeriodicJob(
            now_ns=server.now_ns(),
            namespace=launch.namespace,
            job_id=launch.job_id,
            launch_seconds=launch.seconds,
            eval_id=server.new_id(),
            versions_kept=server.versions_kept,
        )
        try:
            result = await server.propose(command)
        except YurtError as error:
            log.warning("a periodic job was not launched", extra={"job": launch.job_id, "reason": str(error)})
        else:
            log.debug("periodic job launched", extra={"child": result.child_id})
