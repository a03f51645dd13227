"""One evaluation of a system or sysbatch job (spec scheduling §10)."""

from __future__ import annotations

import math

from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import BLOCKED, COMPLETE, AllocMetric
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import SYSTEM
from yurt.fsm.structs.plan import AllocationStop
from yurt.scheduler.conclude import (
    blocked_on_node,
    duplicates,
    plan_annotations,
    preemption_evaluations,
    queued_differs,
)
from yurt.scheduler.outcome import Outcome
from yurt.scheduler.reconcile.deployments import Rollout, first_state, has_updates, is_of, with_totals
from yurt.scheduler.reconcile.result import UPDATING, Wanted
from yurt.scheduler.reconcile.system import SystemResult, reconcile_system
from yurt.scheduler.run import Run, latest_deployment


class SystemRun(Run):
    """Decides about a system or sysbatch job."""

    def run(self) -> Outcome:
        """The steps in their order."""
        job, outcome = self.job, self.outcome
        latest = latest_deployment(self.reader, self.evaluation) if job is None or job.type == SYSTEM else None
        rollout = Rollout.begin(job, latest)
        feasible = self._feasible()
        targeted = self._targeted()
        result = reconcile_system(self.context(), self.own, feasible, targeted)
        self._filtered_everywhere(result)
        updates = self._begin(rollout, result, feasible)
        self._finish_rollout(rollout, result, updates)
        outcome.deployment_updates += rollout.updates
        outcome.deployment = self._deployment(rollout)
        deployment = outcome.deployment or rollout.current
        if deployment is not None and deployment.is_active and job is not None:
            self.deploy(deployment, job)
        self.apply(result.groups)
        blocked_nodes = self._place(result, updates)
        shown = deployment or (rollout.old if job is None or job.stop or _is_same(rollout, self) else None)
        self._conclude(result, shown, blocked_nodes)
        return outcome

    # --- which nodes

    def _feasible(self) -> dict[str, list[str]]:
        if self.job is None or self.job.stop:
            return {}
        feasibility = self.placer.feasibility(self.job)
        nodes = self.cluster.nodes
        found: dict[str, list[str]] = {}
        for group in self.job.task_groups or ():
            rows = sorted(feasibility.verdicts(group).rows.tolist())
            found[group.name] = [node.id for row in rows if (node := nodes[row]) is not None]
        return found

    def _targeted(self) -> set[str]:
        if self.job is None:
            return set()
        feasibility = self.placer.feasibility(self.job)
        return {node.id for node in self.cluster.nodes if node is not None and feasibility.targets(node)}

    def _filtered_everywhere(self, result: SystemResult) -> None:
        """Nodes that are filtered are no failure, unless all of them are and nothing runs."""
        if self.job is None or self.job.stop:
            return
        feasibility = self.placer.feasibility(self.job)
        for group in self.job.task_groups or ():
            verdicts = feasibility.verdicts(group)
            if len(feasibility.rows) and not len(verdicts.rows) and group.count:
                stack = self.placer.stack(Wanted("", group, self.job))
                self.placer.placed.failed[group.name] = stack.failure()

    # --- the deployment

    def _begin(self, rollout: Rollout, result: SystemResult, feasible: dict[str, list[str]]) -> dict[str, list[Wanted]]:
        """The updates that may happen now; begins a deployment for a version that has none."""
        job = self.job
        allowed: dict[str, list[Wanted]] = {}
        for group in (job.task_groups or ()) if job is not None and not job.stop else ():
            wanted = result.updates.get(group.name, [])
            found = result.group(group.name)
            if self._begins(rollout, group, changed=bool(wanted or found.in_place)):
                canaries = _canaries(group, len(wanted))
                state = with_totals(
                    first_state(group), total=len(feasible[group.name]) * group.count, canaries=canaries
                )
                rollout.states[group.name] = state
            allowed[group.name] = self._allowed(rollout, group, wanted)
            found.updates["destructive_update"] += len(allowed[group.name])
            found.updates["ignore"] += len(wanted) - len(allowed[group.name])
        return allowed

    def _begins(self, rollout: Rollout, group: TaskGroup, *, changed: bool) -> bool:
        job = self.job
        if job is None or job.type != SYSTEM or not has_updates(group) or rollout.current is not None:
            return False
        if rollout.old is not None and is_of(rollout.old, job):
            return False
        return changed or not any(
            one.job is not None and one.job.version == job.version and one.job.create_index == job.create_index
            for one in self.own
            if one.task_group == group.name
        )

    def _allowed(self, rollout: Rollout, group: TaskGroup, wanted: list[Wanted]) -> list[Wanted]:
        if not has_updates(group) or group.update is None:
            return wanted
        if rollout.is_paused or rollout.is_failed:
            return []
        limit = group.update.max_parallel
        current = rollout.current
        for one in self.own if current is not None else ():
            if current is None or one.deployment_id != current.id or one.task_group != group.name or one.is_terminal:
                continue
            limit -= one.deployment_status is None or one.deployment_status.healthy is None
        state = rollout.state(group.name)
        if state is not None and state.desired_canaries and not state.promoted:
            missing = state.desired_canaries - len(state.placed_canaries or ())
            chosen = wanted[: max(0, min(limit, missing))]
            for update in chosen:
                update.canary = True
            return chosen
        return wanted[: max(0, limit)]

    def _finish_rollout(self, rollout: Rollout, result: SystemResult, updates: dict[str, list[Wanted]]) -> None:
        busy = any(result.updates.values()) or any(one.place or one.in_place for one in result.groups.values())
        if rollout.current is None or busy:
            return
        states = (rollout.current.task_groups or {}).values()
        if all(
            one.healthy_allocs >= max(one.desired_total, one.desired_canaries)
            and (one.promoted or not one.desired_canaries)
            for one in states
        ):
            rollout.complete()

    def _deployment(self, rollout: Rollout) -> Deployment | None:
        done = not any(state.desired_total for state in rollout.states.values())
        return rollout.new_deployment(self.evaluation, self.new_id("deployment"), done=done)

    # --- placing

    def _place(self, result: SystemResult, updates: dict[str, list[Wanted]]) -> dict[str, str]:
        """Replace and place on each node; the first node of each group that has no room."""
        blocked: dict[str, str] = {}
        for members in updates.values():
            for wanted in members:
                assert wanted.replaces is not None
                row = self.cluster.rows[wanted.node_id]
                excluded = self.placer.stack(wanted).place_of(row) < 0
                if excluded or self.placer.place_at(wanted, row) is not None:
                    self.outcome.stopped.append(AllocationStop(id=wanted.replaces.id, description=UPDATING))
                else:
                    blocked.setdefault(wanted.group.name, wanted.node_id)
        for group in result.groups.values():
            for wanted in group.place:
                if self.placer.place_at(wanted, self.cluster.rows[wanted.node_id]) is None:
                    blocked.setdefault(wanted.group.name, wanted.node_id)
        placed = self.placer.placed
        self.outcome.placed, self.outcome.evicted = placed.placements, placed.evicted
        self.outcome.created += preemption_evaluations(placed.victims, self.new_id)
        return blocked

    def _conclude(self, result: SystemResult, shown: Deployment | None, blocked_nodes: dict[str, str]) -> None:
        job, evaluation, outcome = self.job, self.evaluation, self.outcome
        placed = self.placer.placed
        failed: dict[str, AllocMetric] = placed.failed
        queued = {one.name: placed.queued.get(one.name, 0) for one in (job.task_groups or ())} if job else {}
        if blocked_nodes and evaluation.status == BLOCKED:
            if outcome.has_plan or queued_differs(self.reader, evaluation, queued):
                outcome.evaluation = replace(
                    evaluation,
                    queued_allocations=queued,
                    failed_tg_allocs=failed,
                    snapshot_index=self.reader.index,
                )
            return
        blocked_id = ""
        for name, node_id in blocked_nodes.items():
            assert job is not None
            one = blocked_on_node(self.reader, job, evaluation, node_id, {name: failed[name]})
            if all(one.id != other.id for other in outcome.created):
                outcome.created.append(one)
                outcome.changed += duplicates(self.reader, evaluation, node_id)
                blocked_id = one.id
        outcome.evaluation = replace(
            evaluation,
            status=COMPLETE,
            status_description="",
            deployment_id=shown.id if shown is not None else "",
            failed_tg_allocs=failed or None,
            plan_annotations=plan_annotations(
                {name: group.desired_updates() for name, group in result.groups.items()}, placed.victims
            ),
            queued_allocations=queued or None,
            blocked_eval=blocked_id,
            snapshot_index=self.reader.index,
        )


def _is_same(rollout: Rollout, run: SystemRun) -> bool:
    return rollout.old is not None and run.job is not None and is_of(rollout.old, run.job)


def _canaries(group: TaskGroup, updated: int) -> int:
    """The share of nodes that is updated first, at most so many as may be updated at once."""
    if group.update is None or not group.update.canary or not updated:
        return 0
    return min(math.ceil(updated * group.update.canary / 100), group.update.max_parallel)
