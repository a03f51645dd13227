"""How far a deployment is, counted as its allocations change (spec scheduling §8.3)."""

from __future__ import annotations

from yurt.fsm.store.schema import DEPLOYMENTS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.times import from_rfc3339, to_rfc3339


def count_in_deployment(txn: Transaction, old: Allocation | None, new: Allocation, now_ns: int) -> None:
    """An allocation was stored in place of another (None: it is new): count it in its deployment."""
    deployment = txn.get(DEPLOYMENTS, new.deployment_id) if new.deployment_id else None
    if deployment is None or new.task_group not in (deployment.task_groups or {}):
        return
    groups = deployment.task_groups or {}
    state = groups[new.task_group]
    if old is not None and old.deployment_id != new.deployment_id:
        old = None
    counted = _counted(state, old, new, now_ns)
    if counted != state:
        changed = {**groups, new.task_group: counted}
        row = replace(deployment, task_groups=changed, modify_index=txn.index, modify_time=now_ns)
        txn.put(DEPLOYMENTS, row)


def _counted(state: DeploymentState, old: Allocation | None, new: Allocation, now_ns: int) -> DeploymentState:
    before = old.deployment_status.healthy if old is not None and old.deployment_status else None
    status = new.deployment_status
    after = status.healthy if status else None
    healthy, unhealthy = state.healthy_allocs, state.unhealthy_allocs
    if after is True and before is None:
        healthy += 1
    elif after is False and before is not False:
        unhealthy += 1
        healthy -= before is True
    canaries = state.placed_canaries
    if status is not None and status.canary and new.id not in (canaries or ()):
        canaries = (*(canaries or ()), new.id)
    counted: DeploymentState = replace(
        state,
        placed_allocs=state.placed_allocs + (old is None),
        healthy_allocs=healthy,
        unhealthy_allocs=unhealthy,
        placed_canaries=canaries,
        require_progress_by=_progress_by(
            state, new, placed=old is None, healthy=healthy > state.healthy_allocs, now_ns=now_ns
        ),
    )
    return counted


def _progress_by(state: DeploymentState, new: Allocation, *, placed: bool, healthy: bool, now_ns: int) -> str | None:
    if not state.progress_deadline:
        return state.require_progress_by
    known = from_rfc3339(state.require_progress_by) if state.require_progress_by else 0
    latest = known
    if placed and not known:
        latest = now_ns + state.progress_deadline
    if healthy and new.deployment_status is not None and new.deployment_status.timestamp:
        latest = max(latest, from_rfc3339(new.deployment_status.timestamp) + state.progress_deadline)
    return to_rfc3339(latest) if latest != known else state.require_progress_by
