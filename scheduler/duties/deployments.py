"""The deployment watcher: what should become of a deployment now (spec scheduling §8.5). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from yurt.fsm.apply.allocations import may_reschedule
from yurt.fsm.apply.deployments import UNHEALTHY
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS, JOBS
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.deployment import PAUSED, Deployment, DeploymentState
from yurt.fsm.structs.evaluation import CANCELED
from yurt.fsm.structs.times import from_rfc3339

LATE = "Failed due to progress deadline"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on a deployment; `deadline_ns` is when it must be looked at again, 0 for no time.

    `failure` is why it fails, `revert` whether its job goes back; `reschedule` are allocations to be replaced.
    """

    failure: str = ""
    revert: bool = False
    promote: bool = False
    evaluate: bool = False
    reschedule: tuple[str, ...] = ()
    deadline_ns: int = 0


@dataclass(slots=True)
class _Seen:
    healthy_news: bool = False
    failing: list[DeploymentState] = field(default_factory=list)
    reschedule: list[str] = field(default_factory=list)


def assess(reader: Reader, deployment: Deployment, now_ns: int) -> Verdict:
    """Look at a deployment; one that has ended, or of another version than the job's, is left alone."""
    job = reader.get(JOBS, (deployment.namespace, deployment.job_id))
    if not deployment.is_active or job is None or job.version != deployment.job_version or job.stop:
        return Verdict()
    groups = deployment.task_groups or {}
    allocations = reader.find(ALLOCATIONS, "deployment", deployment.id)
    seen = _look(allocations, groups, _newest_evaluation(reader, deployment), now_ns)
    if seen.failing:
        return Verdict(failure=UNHEALTHY, revert=any(state.auto_revert for state in seen.failing))
    deadline = 0
    if deployment.status != PAUSED:
        late = [state for state in groups.values() if _is_late(state, now_ns)]
        if late:
            return Verdict(failure=LATE, revert=any(state.auto_revert for state in late))
        due = [from_rfc3339(state.require_progress_by or "") for state in groups.values() if _waits(state)]
        deadline = min(due, default=0)
        if _may_promote(groups, allocations):
            return Verdict(promote=True, deadline_ns=deadline)
    return Verdict(
        evaluate=seen.healthy_news or bool(seen.reschedule), reschedule=tuple(seen.reschedule), deadline_ns=deadline
    )


def _look(allocations: list[Allocation], groups: dict[str, DeploymentState], newest: int, now_ns: int) -> _Seen:
    seen = _Seen()
    for one in allocations:
        status, state = one.deployment_status, groups.get(one.task_group)
        if status is None or state is None:
            continue
        if status.healthy is True and status.modify_index > newest:
            seen.healthy_news = True
        elif status.healthy is False and not one.is_server_terminal and not one.next_allocation:
            marked = one.desired_transition is not None and bool(one.desired_transition.reschedule)
            if not state.progress_deadline or not may_reschedule(one, now_ns):
                seen.failing.append(state)
            elif not marked:
                seen.reschedule.append(one.id)
    return seen


def _newest_evaluation(reader: Reader, deployment: Deployment) -> int:
    """The state that the job's newest evaluation saw, or will see."""
    found = reader.find(EVALUATIONS, "job", (deployment.namespace, deployment.job_id))
    newest = max((one for one in found if one.status != CANCELED), key=lambda one: one.create_index, default=None)
    if newest is None:
        return 0
    return newest.snapshot_index or newest.create_index


def _is_enough(state: DeploymentState) -> bool:
    """Whether the group has got as far as it goes by itself."""
    if state.desired_canaries and not state.promoted:
        return state.healthy_allocs >= state.desired_canaries
    return state.healthy_allocs >= state.desired_total


def _waits(state: DeploymentState) -> bool:
    return bool(state.require_progress_by) and not _is_enough(state)


def _is_late(state: DeploymentState, now_ns: int) -> bool:
    return _waits(state) and from_rfc3339(state.require_progress_by or "") <= now_ns


def _may_promote(groups: dict[str, DeploymentState], allocations: list[Allocation]) -> bool:
    """Whether all canaries are there, healthy, and to be promoted without asking."""
    canaries = [state for state in groups.values() if state.desired_canaries]
    if not canaries or all(state.promoted for state in canaries) or not all(one.auto_promote for one in canaries):
        return False
    healthy = {
        one.id for one in allocations if not one.is_terminal and one.deployment_status and one.deployment_status.healthy
    }
    for state in canaries:
        placed = state.placed_canaries or ()
        if len(placed) < state.desired_canaries or sum(one in healthy for one in placed) != state.desired_canaries:
            return False
    return True
