"""The leader empties draining nodes (spec scheduling §18)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

from yurt.fsm.commands_nodes import CompleteDrains, TransitionAllocations
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, JOBS, NODES
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.evaluation import Evaluation, pending_evaluation
from yurt.scheduler.duties.drainer import Drains, assess
from yurt.server.host import Host
from yurt.server.leader.proposals import Proposals
from yurt.server.platform.turns import Steps

BATCH_SECONDS = 0.2
SLEEP_SECONDS_MAX = 3600.0


class DrainWatcher:
    """All drains while this server leads; one command of it is on its way at a time."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._proposals = Proposals(server)
        self._leads = self._busy = self._is_due = False
        self._terms = 0
        self._timer: asyncio.TimerHandle | None = None
        server.engine.on_leadership(self._leadership)
        server.machine.on_commit(self._committed)

    def _leadership(self, leads: bool) -> None:
        self._leads, self._busy, self._is_due = leads, False, False
        self._terms += 1
        self._wake_in(BATCH_SECONDS if leads else None)

    def _committed(self, _index: int, changes: list[Change]) -> None:
        concerned = any(change.table is NODES or change.table is ALLOCATIONS for change in changes)
        if concerned and self._leads and self._server.view().has(NODES, "draining", True):
            self._wake_in(BATCH_SECONDS)

    def _wake_in(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if seconds is not None and self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self._server.supervisor.later("drains", min(seconds, SLEEP_SECONDS_MAX), self._look)

    def _look(self) -> None:
        self._timer = None
        self._is_due = self._busy
        if self._busy or not self._leads:
            return
        view, now_ns = self._server.view(), self._server.now_ns()
        steps = assess(view, now_ns)
        if (ended := self._server.turns.begin(steps)) is not None:
            self._act(ended[0], now_ns)
        else:
            self._busy = True
            view.pin()
            self._server.in_turns(partial(self._go_on, self._terms, steps, now_ns))

    def _go_on(self, term: int, steps: Steps[Drains], now_ns: int) -> Iterator[None]:
        found: Drains | None = yield from steps
        if term != self._terms:
            return
        self._busy = False
        if found is not None:
            self._act(found, now_ns)
        if found is None or (self._is_due and not self._busy):  # the pass broke, or something changed behind it
            self._wake_in(BATCH_SECONDS)

    def _act(self, found: Drains, now_ns: int) -> None:
        if found.marks:
            evaluations = tuple(self._evaluation(one) for one in found.jobs.values())
            self._propose(TransitionAllocations(now_ns=now_ns, transitions=found.marks, evaluations=evaluations))
        elif found.done:
            self._propose(CompleteDrains(now_ns=now_ns, node_ids=tuple(found.done), forced=tuple(found.forced)))
        elif found.deadline_ns:
            self._wake_in(max(0.0, (found.deadline_ns - now_ns) / 1e9))

    def _propose(self, command: TransitionAllocations | CompleteDrains) -> None:
        self._busy = True
        self._proposals.propose(command, partial(self._done, self._terms))

    def _done(self, term: int, _result: object) -> None:
        if term == self._terms:
            self._busy = False
            self._wake_in(BATCH_SECONDS if self._leads else None)

    def _evaluation(self, allocation: Allocation) -> Evaluation:
        job = self._server.view().get(JOBS, (allocation.namespace, allocation.job_id)) or allocation.job
        assert job is not None
        return pending_evaluation(job, self._server.new_id(), "node-drain", node_id=allocation.node_id)

    def stop(self) -> None:
        """Do nothing more."""
        self._leadership(False)
        self._proposals.stop()
