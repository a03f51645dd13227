"""The handler of `ApplyPlan`, which stores a plan's decisions in one transaction (spec scheduling §6, §8.3)."""

from __future__ import annotations

from yurt.fsm.apply.evaluations import store_evaluation
from yurt.fsm.apply.life import refresh_status
from yurt.fsm.apply.placements import apply_allocations
from yurt.fsm.apply.versions import mark_stable
from yurt.fsm.commands import ApplyPlan, DeploymentUpdate, Done
from yurt.fsm.store.schema import DEPLOYMENTS, EVALUATIONS, JOB_VERSIONS, JOBS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import PAUSED, RUNNING, SUCCESSFUL, Deployment, DeploymentState
from yurt.fsm.structs.times import to_rfc3339


def apply_plan(txn: Transaction, command: ApplyPlan) -> Done:
    """Handle `ApplyPlan`; what belongs to a job that is gone or stopped by now is left out."""
    jobs: dict[tuple[str, str], None] = {}
    if command.deployment is not None and _store_deployment(txn, command.deployment, command.now_ns):
        jobs[command.deployment.namespace, command.deployment.job_id] = None
    for update in command.deployment_updates:
        if deployment := _update_deployment(txn, update, command.now_ns):
            jobs[deployment.namespace, deployment.job_id] = None
    jobs |= apply_allocations(txn, command)
    evaluation = txn.get(EVALUATIONS, command.eval_id)
    if evaluation is not None and not any(one.id == evaluation.id for one in command.evaluations):
        txn.put(EVALUATIONS, replace(evaluation, modify_index=txn.index))
    for one in command.evaluations:
        store_evaluation(txn, one, command.now_ns)
        jobs[one.namespace, one.job_id] = None
    for key in jobs:
        refresh_status(txn, *key)
    return Done(index=txn.index)


def _store_deployment(txn: Transaction, deployment: Deployment, now_ns: int) -> bool:
    job = txn.get(JOBS, (deployment.namespace, deployment.job_id))
    if job is None or job.stop:
        return False
    stored = txn.get(DEPLOYMENTS, deployment.id)
    row: Deployment = replace(
        deployment,
        task_groups=_groups(deployment, stored),
        create_index=stored.create_index if stored else txn.index,
        create_time=stored.create_time if stored else now_ns,
        modify_index=txn.index,
        modify_time=now_ns,
    )
    txn.put(DEPLOYMENTS, row)
    if row.status == SUCCESSFUL:
        _mark_version(txn, row)
    return True


_COUNTED = ("healthy_allocs", "unhealthy_allocs", "placed_allocs", "placed_canaries", "promoted", "require_progress_by")


def _groups(given: Deployment, stored: Deployment | None) -> dict[str, DeploymentState] | None:
    """The groups as the plan wants them; what was counted so far, and groups that it leaves out, stay."""
    if stored is None or not stored.task_groups:
        return given.task_groups
    merged = dict(stored.task_groups)
    for name, state in (given.task_groups or {}).items():
        old = merged.get(name)
        merged[name] = replace(state, **{field: getattr(old, field) for field in _COUNTED}) if old else state
    return merged


def _update_deployment(txn: Transaction, update: DeploymentUpdate, now_ns: int) -> Deployment | None:
    stored = txn.get(DEPLOYMENTS, update.deployment_id)
    if stored is None:
        return None
    groups = stored.task_groups
    if update.status in (RUNNING, PAUSED):
        groups = {
            name: replace(state, require_progress_by=to_rfc3339(now_ns + state.progress_deadline))
            if state.progress_deadline and state.require_progress_by
            else state
            for name, state in (stored.task_groups or {}).items()
        }
    row: Deployment = replace(
        stored,
        status=update.status,
        status_description=update.description,
        task_groups=groups,
        modify_index=txn.index,
        modify_time=now_ns,
    )
    txn.put(DEPLOYMENTS, row)
    if row.status == SUCCESSFUL:
        _mark_version(txn, row)
    return row


def _mark_version(txn: Transaction, deployment: Deployment) -> None:
    """A version that was deployed is stable."""
    key = (deployment.namespace, deployment.job_id, deployment.job_version)
    version = txn.get(JOB_VERSIONS, key)
    if version is not None and version.create_index == deployment.job_create_index:
        mark_stable(txn, version, True)
