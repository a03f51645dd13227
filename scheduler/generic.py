"""One evaluation of a service or batch job (spec scheduling §7.1)."""

from __future__ import annotations

from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.job import SERVICE, SYSTEM
from yurt.fsm.structs.plan import AllocationChange, AllocationStop
from yurt.scheduler.conclude import conclude, preemption_evaluations
from yurt.scheduler.outcome import Outcome
from yurt.scheduler.reconcile.deployments import is_of
from yurt.scheduler.reconcile.job import JobResult, reconcile_job
from yurt.scheduler.reconcile.reschedule import NO_PLACEMENT, RESCHEDULED, last_failed
from yurt.scheduler.reconcile.result import UPDATING, Wanted
from yurt.scheduler.run import Run, latest_deployment


class GenericRun(Run):
    """Decides about a service or batch job."""

    def run(self) -> Outcome:
        """The steps in their order."""
        job, outcome, evaluation = self.job, self.outcome, self.evaluation
        latest = latest_deployment(self.reader, evaluation) if job is None or job.type in (SERVICE, SYSTEM) else None
        result = reconcile_job(self.context(), latest, self.own)
        rollout = result.rollout
        outcome.deployment_updates += rollout.updates
        outcome.deployment = rollout.new_deployment(evaluation, self.new_id("deployment"))
        deployment = outcome.deployment or rollout.current
        old_shown = job is None or job.stop or (rollout.old is not None and is_of(rollout.old, job))
        shown = deployment or (rollout.old if old_shown else None)
        if deployment is not None and deployment.is_active and job is not None:
            self.deploy(deployment, job)
        self.apply(result.groups)
        self._place(result)
        placed = self.placer.placed
        queued = {group.name: placed.queued.get(group.name, 0) for group in (job.task_groups or ())} if job else {}
        conclude(
            self.reader,
            job,
            outcome,
            updates={name: group.desired_updates() for name, group in result.groups.items()},
            victims=placed.victims,
            failed=placed.failed,
            queued=queued,
            deployment_id=shown.id if shown is not None else "",
            classes=self.placer.classes(job) if job is not None else {},
            follow_ups=[one for group in result.groups.values() for one in group.follow_ups],
            now_ns=self.now_ns,
        )
        return outcome

    def _place(self, result: JobResult) -> None:
        """Destructive updates first: they make room."""
        for group in result.groups.values():
            for wanted in group.destructive:
                if self.placer.place(wanted) is not None and wanted.replaces is not None:
                    self.outcome.stopped.append(AllocationStop(id=wanted.replaces.id, description=UPDATING))
        for group in result.groups.values():
            for wanted in group.place:
                placed = self.placer.place(wanted)
                if wanted.reschedule and wanted.previous is not None:
                    self._rescheduled(wanted, wanted.previous, found=placed is not None)
        placed_all = self.placer.placed
        self.outcome.placed, self.outcome.evicted = placed_all.placements, placed_all.evicted
        self.outcome.created += preemption_evaluations(placed_all.victims, self.new_id)

    def _rescheduled(self, wanted: Wanted, previous: Allocation, *, found: bool) -> None:
        """Record on the failed allocation whether its replacement was placed."""
        if found and wanted.replaces is not None:
            self.outcome.stopped.append(AllocationStop(id=previous.id, last_reschedule=RESCHEDULED))
        elif not found and not last_failed(previous):
            self.outcome.updated.append(AllocationChange(id=previous.id, last_reschedule=NO_PLACEMENT))
