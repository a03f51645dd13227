"""A job's roll-out in one evaluation: the deployment that is there, that ends, that begins (spec §8.1, §8.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from yurt.fsm.commands import DeploymentUpdate
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import CANCELLED, FAILED, PAUSED, RUNNING, SUCCESSFUL, Deployment, DeploymentState
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job

STOPPED_TEXT = "Cancelled because job is stopped"
NEWER_TEXT = "Cancelled due to newer version of job"
SUCCESSFUL_TEXT = "Deployment completed successfully"
RUNNING_TEXT = "Deployment is running"
PROMOTION_TEXT = "Deployment is running but requires manual promotion"
AUTO_TEXT = "Deployment is running pending automatic promotion"


@dataclass(slots=True)
class Rollout:
    """`old` is a deployment of another version or a finished one, `current` an unfinished or failed one of this.

    `states` are the groups of the deployment that this evaluation begins, `updates` the changes of older ones.
    """

    job: Job | None
    old: Deployment | None = None
    current: Deployment | None = None
    states: dict[str, DeploymentState] = field(default_factory=dict)
    updates: list[DeploymentUpdate] = field(default_factory=list)

    @classmethod
    def begin(cls, job: Job | None, latest: Deployment | None) -> Rollout:
        """Look at the job's latest deployment, end it if it has no meaning any more."""
        self = cls(job)
        if latest is None:
            return self
        if job is None or job.stop:
            self.old = latest
            self._end(latest, STOPPED_TEXT)
        elif not is_of(latest, job):
            self.old = latest
            self._end(latest, NEWER_TEXT)
        elif latest.status == SUCCESSFUL:
            self.old = latest
        else:
            self.current = latest
        return self

    def _end(self, deployment: Deployment, text: str) -> None:
        if deployment.is_active:
            self.updates.append(DeploymentUpdate(deployment_id=deployment.id, status=CANCELLED, description=text))

    @property
    def is_paused(self) -> bool:
        """Whether nothing is placed for it."""
        return self.current is not None and self.current.status in (PAUSED, "pending", "initializing")

    @property
    def is_failed(self) -> bool:
        """Whether it went wrong."""
        return self.current is not None and self.current.status == FAILED

    def state(self, group: str) -> DeploymentState | None:
        """How far a group is, in the deployment that is there or that begins."""
        if self.current is not None:
            return (self.current.task_groups or {}).get(group)
        return self.states.get(group)

    def complete(self) -> None:
        """Every group is where it should be."""
        if self.current is not None and self.current.is_active:
            update = DeploymentUpdate(deployment_id=self.current.id, status=SUCCESSFUL, description=SUCCESSFUL_TEXT)
            self.updates.append(update)

    def new_deployment(self, evaluation: Evaluation, identifier: str, *, done: bool = False) -> Deployment | None:
        """The record of the deployment that begins, None if none does."""
        if self.job is None or not self.states:
            return None
        job = self.job
        return Deployment(
            id=identifier,
            namespace=job.namespace,
            job_id=job.id,
            job_version=job.version,
            job_modify_index=job.modify_index,
            job_spec_modify_index=job.job_modify_index,
            job_create_index=job.create_index,
            task_groups=self.states,
            status=SUCCESSFUL if done else RUNNING,
            status_description=SUCCESSFUL_TEXT if done else running_text(self.states),
            eval_priority=evaluation.priority,
        )


def running_text(states: dict[str, DeploymentState]) -> str:
    """Return the status description of a running deployment: the promotion that it waits for, if any."""
    waiting = [one for one in states.values() if one.desired_canaries > 0 and not one.promoted]
    if not waiting:
        return RUNNING_TEXT
    return AUTO_TEXT if all(one.auto_promote for one in waiting) else PROMOTION_TEXT


def is_of(deployment: Deployment, job: Job) -> bool:
    """Whether a deployment rolls out this version."""
    return deployment.job_version == job.version and deployment.job_create_index == job.create_index


def has_updates(group: TaskGroup | None) -> bool:
    """Whether a group's changes are rolled out step by step."""
    return group is not None and group.update is not None and group.update.max_parallel > 0


def first_state(group: TaskGroup) -> DeploymentState:
    """How a group begins."""
    assert group.update is not None
    return DeploymentState(
        auto_promote=group.update.auto_promote,
        auto_revert=group.update.auto_revert,
        progress_deadline=group.update.progress_deadline,
    )


def with_totals(state: DeploymentState, *, total: int, canaries: int) -> DeploymentState:
    """The state with what is wanted."""
    changed: DeploymentState = replace(state, desired_total=total, desired_canaries=canaries)
    return changed
