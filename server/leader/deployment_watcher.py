"""The leader watches deployments: evaluates, promotes, fails them (spec scheduling §8.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import islice

from yurt.fsm.commands import Command, UpdateEvaluations
from yurt.fsm.commands_nodes import FailDeployment, PromoteDeployment, TransitionAllocations
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, JOBS
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import DesiredTransition
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation, pending_evaluation
from yurt.scheduler.duties.deployments import Verdict, assess
from yurt.server.host import Host
from yurt.server.leader.proposals import Proposals

BATCH_SECONDS = 0.2
SLEEP_SECONDS_MAX = 3600.0
LOOKED_AT_ONCE = 32  # deployments; the others when the loop has served what waits


class Rollouts:
    """All active deployments while this server leads."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._proposals = Proposals(server)
        self._leads, self._terms = False, 0
        self._changed: dict[str, None] = {}
        self._busy: dict[str, None] = {}  # a command about it is on its way
        self._deadlines: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        server.engine.on_leadership(self._leadership)
        server.machine.on_commit(self._committed)

    def _leadership(self, leads: bool) -> None:
        self._leads = leads
        self._changed.clear()
        self._busy.clear()
        self._deadlines.clear()
        self._terms += 1
        if leads:
            self._server.in_turns(partial(self._take_in, self._terms))

    def _take_in(self, term: int) -> Iterator[None]:
        """Look at every active deployment."""
        view = self._server.view()
        view.pin()
        for deployment in view.scan(DEPLOYMENTS):
            if term != self._terms:
                return
            if deployment.is_active:
                self._changed[deployment.id] = None
                self._set_timer()
            yield

    def _committed(self, _index: int, changes: list[Change]) -> None:
        if not self._leads:
            return
        for change in changes:
            row = change.new
            if change.table is DEPLOYMENTS:
                self._changed[change.key] = None
            elif change.table is ALLOCATIONS and row is not None and row.deployment_id and row.deployment_status:
                self._changed[row.deployment_id] = None
        if self._changed:
            self._set_timer()

    def _set_timer(self, *, at_once: bool = False) -> None:
        if self._timer is not None:
            if self._changed and self._timer.when() <= asyncio.get_running_loop().time() + BATCH_SECONDS:
                return
            self._timer.cancel()
            self._timer = None
        if not self._leads:
            return
        if self._changed:
            wait = 0.0 if at_once else BATCH_SECONDS
        elif self._deadlines:
            wait = max(0.0, (min(self._deadlines.values()) - self._server.now_ns()) / 1e9)
        else:
            return
        self._timer = self._server.supervisor.later("deployments", min(wait, SLEEP_SECONDS_MAX), self._look)

    def _look(self) -> None:
        self._timer = None
        now_ns = self._server.now_ns()
        late = [one for one, deadline in self._deadlines.items() if deadline <= now_ns]
        looked = list(islice(dict.fromkeys((*self._changed, *late)), LOOKED_AT_ONCE))
        count = len(looked)
        view = self._server.view()
        while looked:
            deployment_id = looked.pop(0)
            self._changed.pop(deployment_id, None)
            try:
                self._assess(view, deployment_id, now_ns)
            except Exception:
                self._changed[deployment_id] = None  # it is looked at again, after the others
                raise
        self._set_timer(at_once=count == LOOKED_AT_ONCE)

    def _assess(self, view: View, deployment_id: str, now_ns: int) -> None:
        """Look at one deployment, and propose its next step."""
        deployment = view.get(DEPLOYMENTS, deployment_id)
        self._deadlines.pop(deployment_id, None)
        if deployment is None or not deployment.is_active or deployment_id in self._busy:
            return
        verdict = assess(view, deployment, now_ns)
        if verdict.deadline_ns:
            self._deadlines[deployment_id] = verdict.deadline_ns
        if (command := self._command(deployment, verdict, now_ns)) is not None:
            self._busy[deployment_id] = None
            self._proposals.propose(command, partial(self._done, deployment_id))

    def _done(self, deployment_id: str, _result: object) -> None:
        self._busy.pop(deployment_id, None)
        if self._leads:
            self._changed[deployment_id] = None
            self._set_timer()

    def _command(self, deployment: Deployment, verdict: Verdict, now_ns: int) -> Command | None:
        server = self._server
        if verdict.failure:
            return FailDeployment(
                now_ns=now_ns,
                deployment_id=deployment.id,
                description=verdict.failure,
                revert=verdict.revert,
                eval_id=server.new_id(),
                versions_kept=server.versions_kept,
            )
        if verdict.promote:
            return PromoteDeployment(now_ns=now_ns, deployment_id=deployment.id, all=True, eval_id=server.new_id())
        evaluation = self._evaluation(deployment) if verdict.evaluate else None
        if evaluation is None:
            return None
        if verdict.reschedule:
            marks = dict.fromkeys(verdict.reschedule, DesiredTransition(reschedule=True))
            return TransitionAllocations(now_ns=now_ns, transitions=marks, evaluations=(evaluation,))
        return UpdateEvaluations(now_ns=now_ns, evaluations=(evaluation,))

    def _evaluation(self, deployment: Deployment) -> Evaluation | None:
        job = self._server.view().get(JOBS, (deployment.namespace, deployment.job_id))
        if job is None:
            return None
        priority = deployment.eval_priority or job.priority
        return pending_evaluation(
            job, self._server.new_id(), "deployment-watcher", priority=priority, deployment_id=deployment.id
        )

    def stop(self) -> None:
        """Do nothing more."""
        self._leadership(False)
        self._set_timer()
        self._proposals.stop()
