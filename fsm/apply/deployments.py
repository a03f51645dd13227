"""The handlers of deployment commands from users and the leader (spec scheduling §8.5, §8.6)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.apply.deployment_counts import count_in_deployment
from yurt.fsm.apply.evaluations import store_evaluation
from yurt.fsm.apply.jobs import store_specification
from yurt.fsm.apply.life import refresh_status
from yurt.fsm.commands import RegisterJob
from yurt.fsm.commands_nodes import (
    DeploymentWritten,
    FailDeployment,
    PauseDeployment,
    PromoteDeployment,
    SetAllocationHealth,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.equal import same_specification
from yurt.fsm.job.multierror import multierror
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, JOB_VERSIONS, JOBS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import AllocDeploymentStatus
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import FAILED, PAUSED, RUNNING, Deployment, DeploymentState
from yurt.fsm.structs.evaluation import pending_evaluation
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.times import to_rfc3339

UNHEALTHY = "Failed due to unhealthy allocations"
BY_USER = "Deployment marked as failed"


def _find(txn: Transaction, deployment_id: str, verb: str) -> Deployment:
    found = txn.get(DEPLOYMENTS, deployment_id)
    if found is None:
        raise Refusal(500, "deployment not found")
    if not found.is_active:
        raise Refusal(500, f"can't {verb} terminal deployment")
    return found


def _store(txn: Transaction, deployment: Deployment, now_ns: int, **changes: Any) -> Deployment:
    row: Deployment = replace(deployment, modify_index=txn.index, modify_time=now_ns, **changes)
    txn.put(DEPLOYMENTS, row)
    return row


def _evaluate(txn: Transaction, deployment: Deployment, eval_id: str, now_ns: int) -> str:
    """Evaluate the deployment's job; the ID of the evaluation, empty if the job is gone."""
    job = txn.get(JOBS, (deployment.namespace, deployment.job_id))
    if job is None or not eval_id:
        return ""
    priority = deployment.eval_priority or job.priority
    evaluation = pending_evaluation(job, eval_id, "deployment-watcher", priority=priority, deployment_id=deployment.id)
    store_evaluation(txn, evaluation, now_ns)
    refresh_status(txn, job.namespace, job.id)
    return eval_id


def promote(txn: Transaction, command: PromoteDeployment) -> DeploymentWritten:
    """Handle `PromoteDeployment`: every promoted group needs as many healthy canaries as it wants."""
    deployment = _find(txn, command.deployment_id, "promote")
    groups = dict(deployment.task_groups or {})
    chosen = [
        name
        for name, state in sorted(groups.items())
        if (command.all or name in command.groups) and state.desired_canaries and not state.promoted
    ]
    errors = []
    for name in chosen:
        state = groups[name]
        healthy = _healthy_canaries(txn, state)
        if healthy < state.desired_canaries:
            errors.append(f'Task group "{name}" has {healthy}/{state.desired_canaries} healthy allocations')
    if errors:
        raise Refusal(500, multierror(errors))
    for name in chosen:
        groups[name] = _promoted(txn, groups[name], command.now_ns)
    changes: dict[str, Any] = {"task_groups": groups}
    if all(state.promoted or not state.desired_canaries for state in groups.values()):
        changes["status_description"] = "Deployment is running"
    deployment = _store(txn, deployment, command.now_ns, **changes)
    eval_id = _evaluate(txn, deployment, command.eval_id, command.now_ns)
    return DeploymentWritten(index=txn.index, eval_id=eval_id)


def _healthy_canaries(txn: Transaction, state: DeploymentState) -> int:
    found = (txn.get(ALLOCATIONS, alloc_id) for alloc_id in state.placed_canaries or ())
    return sum(
        one is not None
        and not one.is_terminal
        and one.deployment_status is not None
        and one.deployment_status.healthy is True
        for one in found
    )


def _promoted(txn: Transaction, state: DeploymentState, now_ns: int) -> DeploymentState:
    for alloc_id in state.placed_canaries or ():
        stored = txn.get(ALLOCATIONS, alloc_id)
        if stored is not None and stored.deployment_status is not None:
            status = replace(stored.deployment_status, canary=False, modify_index=txn.index)
            row = replace(
                stored,
                deployment_status=status,
                modify_index=txn.index,
                alloc_modify_index=txn.index,
                modify_time=now_ns,
            )
            txn.put(ALLOCATIONS, row)
    deadline = to_rfc3339(now_ns + state.progress_deadline) if state.progress_deadline else state.require_progress_by
    changed: DeploymentState = replace(state, promoted=True, require_progress_by=deadline)
    return changed


def pause(txn: Transaction, command: PauseDeployment) -> DeploymentWritten:
    """Handle `PauseDeployment`; only going on makes an evaluation."""
    deployment = _find(txn, command.deployment_id, "pause" if command.pause else "resume")
    groups = {
        name: replace(state, require_progress_by=to_rfc3339(command.now_ns + state.progress_deadline))
        if state.progress_deadline and state.require_progress_by
        else state
        for name, state in (deployment.task_groups or {}).items()
    }
    status, text = (PAUSED, "Deployment is paused") if command.pause else (RUNNING, "Deployment is running")
    deployment = _store(txn, deployment, command.now_ns, status=status, status_description=text, task_groups=groups)
    eval_id = "" if command.pause else _evaluate(txn, deployment, command.eval_id, command.now_ns)
    return DeploymentWritten(index=txn.index, eval_id=eval_id)


def fail(txn: Transaction, command: FailDeployment) -> DeploymentWritten:
    """Handle `FailDeployment`."""
    deployment = _find(txn, command.deployment_id, "fail")
    return _fail(txn, deployment, command.description, command)


def _fail(
    txn: Transaction, deployment: Deployment, text: str, command: FailDeployment | SetAllocationHealth
) -> DeploymentWritten:
    wanted = command.revert if isinstance(command, FailDeployment) else None
    if wanted is None:
        wanted = any(state.auto_revert for state in (deployment.task_groups or {}).values())
    job = txn.get(JOBS, (deployment.namespace, deployment.job_id))
    back, text = _way_back(txn, deployment, job, text) if wanted and job is not None else (None, text)
    deployment = _store(txn, deployment, command.now_ns, status=FAILED, status_description=text)
    if back is not None:
        again: Job = replace(back, stop=False, stable=False, version_tag=None)
        register = RegisterJob(now_ns=command.now_ns, job=again, versions_kept=command.versions_kept)
        store_specification(txn, register, again, job, triggered_by="deployment-watcher")
    eval_id = _evaluate(txn, deployment, command.eval_id, command.now_ns)
    refresh_status(txn, deployment.namespace, deployment.job_id)
    version = back.version if back is not None else None
    return DeploymentWritten(index=txn.index, eval_id=eval_id, reverted_version=version)


def _way_back(txn: Transaction, deployment: Deployment, job: Job, text: str) -> tuple[Job | None, str]:
    """The stable version to go back to, None if there is none, and what is said of it."""
    stable = [one for one in txn.find(JOB_VERSIONS, "job", (job.namespace, job.id)) if one.stable]
    if not stable:
        return None, f"{text} - no stable job version to auto revert to"
    newest = max(stable, key=lambda one: one.version)
    if same_specification(newest, job):
        said = f"not rolling back to stable job version {newest.version} as current job has same specification"
        return None, f"{text} - {said}"
    return newest, f"{text} - rolling back to job version {newest.version}"


def set_health(txn: Transaction, command: SetAllocationHealth) -> DeploymentWritten:
    """Handle `SetAllocationHealth`; who is in both lists is unhealthy."""
    deployment = txn.get(DEPLOYMENTS, command.deployment_id)
    if deployment is None:
        raise Refusal(500, "deployment not found")
    if not command.healthy and not command.unhealthy:
        raise Refusal(500, "must specify at least one healthy/unhealthy allocation ID")
    if not deployment.is_active:
        raise Refusal(500, "can't set health of allocations for a terminal deployment")
    for alloc_id in (*command.healthy, *command.unhealthy):
        found = txn.get(ALLOCATIONS, alloc_id)
        if found is None:
            raise Refusal(500, f'unknown alloc "{alloc_id}"')
        if found.deployment_id != deployment.id:
            raise Refusal(500, f'alloc "{alloc_id}" is not part of deployment "{deployment.id}"')
    for alloc_id in command.healthy:
        _set_health(txn, alloc_id, healthy=True, now_ns=command.now_ns)
    for alloc_id in command.unhealthy:
        _set_health(txn, alloc_id, healthy=False, now_ns=command.now_ns)
    deployment = txn.get(DEPLOYMENTS, command.deployment_id)
    assert deployment is not None
    if command.unhealthy:
        return _fail(txn, deployment, UNHEALTHY, command)
    return DeploymentWritten(index=txn.index, eval_id=_evaluate(txn, deployment, command.eval_id, command.now_ns))


def _set_health(txn: Transaction, alloc_id: str, *, healthy: bool, now_ns: int) -> None:
    stored = txn.get(ALLOCATIONS, alloc_id)
    assert stored is not None
    status = replace(
        stored.deployment_status or AllocDeploymentStatus(),
        healthy=healthy,
        timestamp=to_rfc3339(now_ns),
        modify_index=txn.index,
    )
    row = replace(stored, deployment_status=status, modify_index=txn.index, modify_time=now_ns)
    txn.put(ALLOCATIONS, row)
    count_in_deployment(txn, stored, row, now_ns)
