"""One evaluation of a job in a cluster without nodes (spec scheduling §7.1, §8.1, §8.2).

Nothing can be placed, so a plan is a deployment record, changes of older deployments, and evaluations: the one in work,
and a blocked one that waits for nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from yurt.fsm.commands import DeploymentUpdate
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOBS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import CANCELLED, RUNNING, SUCCESSFUL, Deployment, DeploymentState
from yurt.fsm.structs.evaluation import (
    BLOCKED,
    CANCELED,
    COMPLETE,
    FAILED,
    AllocMetric,
    DesiredUpdates,
    Evaluation,
    PlanAnnotations,
)
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import SERVICE, SYSBATCH, SYSTEM, Job
from yurt.scheduler.ids import derived_id
from yurt.scheduler.reconcile.group import reconcile_group

_SYSTEM_TRIGGERS = frozenset(
    {
        "job-register", "node-update", "failed-follow-up", "job-deregister", "rolling-update", "preemption",
        "deployment-watcher", "node-drain", "alloc-stop", "queued-allocs", "job-scaling", "reconnect", "alloc-failure",
    }
)  # fmt: skip
_ESCAPING = ("${node.unique.", "${attr.unique.", "${meta.unique.", "${unique.")


@dataclass(slots=True)
class Outcome:
    """What an evaluation decided; `evaluation` is the one in work, changed."""

    evaluation: Evaluation
    created: list[Evaluation] = field(default_factory=list)
    changed: list[Evaluation] = field(default_factory=list)
    deployment: Deployment | None = None
    deployment_updates: list[DeploymentUpdate] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """Whether only the evaluation itself changes."""
        return not (self.created or self.changed or self.deployment or self.deployment_updates)


def evaluate(reader: Reader, evaluation: Evaluation, *, now_ns: int) -> Outcome:
    """Work on a pending or blocked evaluation against a view."""
    job = reader.get(JOBS, (evaluation.namespace, evaluation.job_id))
    if not _handles(evaluation):
        text = f"scheduler cannot handle '{evaluation.triggered_by}' evaluation reason"
        return Outcome(replace(evaluation, status=FAILED, status_description=text))
    return evaluate_job(reader, job, evaluation, now_ns=now_ns)


def _handles(evaluation: Evaluation) -> bool:
    if evaluation.type == SYSTEM:
        return evaluation.triggered_by in _SYSTEM_TRIGGERS
    if evaluation.type == SYSBATCH:
        return evaluation.triggered_by in _SYSTEM_TRIGGERS or evaluation.triggered_by == "periodic-job"
    return evaluation.triggered_by != "scheduled"


def evaluate_job(reader: Reader, job: Job | None, evaluation: Evaluation, *, now_ns: int) -> Outcome:
    """The same for a job that is handed in (a plan's job is not stored)."""
    outcome = Outcome(evaluation)
    latest = _latest_deployment(reader, evaluation) if job is None or job.type in (SERVICE, SYSTEM) else None
    if job is None or job.stop:
        if latest is not None and latest.is_active:
            text = "Cancelled because job is stopped"
            outcome.deployment_updates.append(
                DeploymentUpdate(deployment_id=latest.id, status=CANCELLED, description=text)
            )
    elif latest is not None and not _is_of(latest, job):
        if latest.is_active:
            text = "Cancelled due to newer version of job"
            outcome.deployment_updates.append(
                DeploymentUpdate(deployment_id=latest.id, status=CANCELLED, description=text)
            )
        latest = None
    groups: tuple[TaskGroup, ...] = (job.task_groups or ()) if job is not None else ()
    allocations = reader.find(ALLOCATIONS, "job", (evaluation.namespace, evaluation.job_id))
    placing: dict[str, int] = {}
    updates: dict[str, DesiredUpdates] = {}
    for group in groups:
        assert job is not None
        changes = reconcile_group(job, group, allocations)
        updates[group.name] = changes.updates
        placing[group.name] = changes.place
    if job is not None and not job.stop and latest is None:
        latest = outcome.deployment = _new_deployment(reader, job, evaluation, placing)
    _conclude(reader, job, outcome, placing, updates, latest)
    return outcome


def _conclude(
    reader: Reader,
    job: Job | None,
    outcome: Outcome,
    placing: dict[str, int],
    updates: dict[str, DesiredUpdates],
    deployment: Deployment | None,
) -> None:
    """The evaluation's end, and the blocked one that follows if something found no place."""
    evaluation = outcome.evaluation
    failed = {name: _no_nodes(job, count) for name, count in placing.items() if count and job is not None}
    annotations = PlanAnnotations(desired_tg_updates=updates)
    if failed and evaluation.status == BLOCKED:
        if evaluation.queued_allocations != placing:
            outcome.evaluation = replace(evaluation, queued_allocations=placing, snapshot_index=reader.index)
        return
    blocked_id = ""
    if failed and job is not None:
        blocked = _blocked(reader, job, evaluation, failed)
        outcome.created.append(blocked)
        blocked_id = blocked.id
        outcome.changed.extend(_duplicates(reader, evaluation))
    outcome.evaluation = replace(
        evaluation,
        status=COMPLETE,
        status_description="",
        deployment_id=deployment.id if deployment else "",
        failed_tg_allocs=failed or None,
        plan_annotations=annotations,
        queued_allocations=placing or None,
        blocked_eval=blocked_id,
        snapshot_index=reader.index,
    )


def _no_nodes(job: Job | None, count: int) -> AllocMetric:
    """Why nothing found a place: there is no node."""
    pool = job.node_pool if job is not None else ""
    return AllocMetric(node_pool=pool, coalesced_failures=count - 1)


def _blocked(reader: Reader, job: Job, evaluation: Evaluation, failed: dict[str, AllocMetric]) -> Evaluation:
    return Evaluation(
        id=derived_id(evaluation.id, reader.index, "blocked"),
        namespace=evaluation.namespace,
        priority=evaluation.priority,
        type=job.type,
        triggered_by="queued-allocs",
        job_id=job.id,
        job_modify_index=evaluation.job_modify_index,
        status=BLOCKED,
        status_description="created to place remaining allocations",
        previous_eval=evaluation.id,
        failed_tg_allocs=failed,
        escaped_computed_class=_escapes(job),
        snapshot_index=reader.index,
    )


def _escapes(job: Job) -> bool:
    """Whether a constraint depends on more than a node's class."""
    constraints = list(job.constraints or ())
    for group in job.task_groups or ():
        constraints.extend(group.constraints or ())
        for task in group.tasks or ():
            constraints.extend(task.constraints or ())
    return any(one.ltarget.startswith(_ESCAPING) or one.rtarget.startswith(_ESCAPING) for one in constraints)


def _duplicates(reader: Reader, evaluation: Evaluation) -> list[Evaluation]:
    """Older blocked evaluations of the job, which the new one replaces."""
    text = f'existing blocked evaluation exists for job "{evaluation.job_id}"'
    return [
        replace(other, status=CANCELED, status_description=text)
        for other in reader.find(EVALUATIONS, "live", (evaluation.namespace, evaluation.job_id))
        if other.status == BLOCKED and other.id != evaluation.id
    ]


def _latest_deployment(reader: Reader, evaluation: Evaluation) -> Deployment | None:
    found = reader.find(DEPLOYMENTS, "job", (evaluation.namespace, evaluation.job_id))
    return max(found, key=lambda one: one.create_index, default=None)


def _is_of(deployment: Deployment, job: Job) -> bool:
    return deployment.job_version == job.version and deployment.job_create_index == job.create_index


def _new_deployment(reader: Reader, job: Job, evaluation: Evaluation, placing: dict[str, int]) -> Deployment | None:
    """The record of a roll-out, if a group with an update block wants something placed."""
    states = {}
    for group in job.task_groups or ():
        total = placing[group.name]
        if group.update is None or group.update.max_parallel == 0 or (total == 0 and job.type == SERVICE):
            continue
        states[group.name] = DeploymentState(
            auto_promote=group.update.auto_promote,
            auto_revert=group.update.auto_revert,
            desired_total=total,
            progress_deadline=group.update.progress_deadline,
        )
    if not states or job.type not in (SERVICE, SYSTEM):
        return None
    done = job.type == SYSTEM  # wanted on no node, so it is everywhere where it is wanted
    return Deployment(
        id=derived_id(evaluation.id, reader.index, "deployment"),
        namespace=job.namespace,
        job_id=job.id,
        job_version=job.version,
        job_modify_index=job.modify_index,
        job_spec_modify_index=job.job_modify_index,
        job_create_index=job.create_index,
        task_groups=states,
        status=SUCCESSFUL if done else RUNNING,
        status_description="Deployment completed successfully" if done else "Deployment is running",
        eval_priority=evaluation.priority,
    )
