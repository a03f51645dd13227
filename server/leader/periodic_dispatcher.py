"""The leader launches periodic jobs by its clock; every launch is a command in the log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from yurt.fsm.commands import LaunchPeriodicJob
from yurt.fsm.errors import YurtError
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import JOBS
from yurt.scheduler.duties.periodic import SECOND_NS, Launch, PeriodicDispatcher
from yurt.server.host import Host
from yurt.server.platform.tzdb import zone
from yurt.server.raft.errors import NotLeader, Overloaded, StorageFull

log = logging.getLogger("periodic")

INFLIGHT_MAX = 64
SLEEP_SECONDS_MAX = 60.0  # then the wall clock is looked at again: it may have been set


class PeriodicLaunches:
    """Wakes the dispatcher and proposes what is due, a bounded number at a time."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._dispatcher: PeriodicDispatcher | None = None
        self._queue: deque[Launch] = deque()
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
        self._queue.clear()
        self._dispatcher = PeriodicDispatcher(zone) if leads else None
        if self._dispatcher is not None:
            view = self._server.view()
            view.pin()
            self._dispatcher.begin(view)
        self._pump()

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
        if deadline is not None and len(self._tasks) < INFLIGHT_MAX:
            wait = (deadline - self._server.now_ns()) / SECOND_NS
            wait = min(max(wait, 0.0), SLEEP_SECONDS_MAX)
            self._timer = self._server.supervisor.later("periodic", wait, self._pump)

    def _pump(self) -> None:
        """Propose what is due, as far as there is room; the rest when something is done."""
        if self._dispatcher is not None and not self._queue:
            self._queue.extend(self._dispatcher.take(self._server.view(), self._server.now_ns()))
        while self._queue and len(self._tasks) < INFLIGHT_MAX:
            task = self._server.supervisor.spawn("periodic", self._launch(self._queue.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._done)
        self._set_timer()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._queue or len(self._tasks) == INFLIGHT_MAX - 1:
            self._pump()

    async def _launch(self, launch: Launch) -> None:
        server, dispatcher = self._server, self._dispatcher
        command = LaunchPeriodicJob(
            now_ns=server.now_ns(),
            namespace=launch.namespace,
            job_id=launch.job_id,
            launch_seconds=launch.seconds,
            by_clock=True,
            eval_id=server.new_id(),
            versions_kept=server.versions_kept,
        )
        try:
            result = await server.propose(command)
        except (NotLeader, Overloaded, StorageFull) as error:  # surely not written
            log.warning("a periodic launch has to wait", extra={"job": launch.job_id, "reason": str(error)})
            if dispatcher is not None and dispatcher is self._dispatcher:
                dispatcher.again(launch, server.now_ns())
                self._set_timer()
        except YurtError as error:  # refused: it is there, or must not be; or unknown: the next leader will see
            log.info("a periodic job was not launched", extra={"job": launch.job_id, "reason": str(error)})
        else:
            log.debug("periodic job launched", extra={"child": result.child_id})
