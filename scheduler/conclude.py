"""How an evaluation ends, and the evaluations that follow it (spec scheduling §2, §7.1)."""

from __future__ import annotations

from collections.abc import Callable

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import EVALUATIONS, JOB_SUMMARIES
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import (
    BLOCKED,
    CANCELED,
    COMPLETE,
    FAILED,
    PENDING,
    AllocMetric,
    DesiredUpdates,
    Evaluation,
    PlanAnnotations,
)
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.times import from_rfc3339
from yurt.scheduler.feasible.nodes import group_constraints, plain_constraints
from yurt.scheduler.feasible.operands import escapes
from yurt.scheduler.ids import derived_id
from yurt.scheduler.outcome import Outcome

PLACE_TEXT = "created to place remaining allocations"
CONFLICT_TEXT = "created due to placement conflicts"
ATTEMPTS = {"service": 5, "batch": 2, "system": 5, "sysbatch": 2}


def plan_annotations(updates: dict[str, DesiredUpdates], victims: list[Allocation]) -> PlanAnnotations:
    """Return a plan's annotations: its updates by group, and the allocations that it evicts."""
    return PlanAnnotations(desired_tg_updates=updates, preempted_allocs=tuple(one.stub() for one in victims) or None)


def conclude(
    reader: Reader,
    job: Job | None,
    outcome: Outcome,
    *,
    updates: dict[str, DesiredUpdates],
    victims: list[Allocation],
    failed: dict[str, AllocMetric],
    queued: dict[str, int],
    deployment_id: str,
    classes: dict[str, bool],
    follow_ups: list[Evaluation],
    now_ns: int,
) -> None:
    """End the evaluation of `outcome`; what found no place waits in a blocked one."""
    evaluation = outcome.evaluation
    eligibility: dict[str, object] = {"class_eligibility": classes or None, "escaped_computed_class": False}
    if job is not None and escapes_classes(job):
        eligibility = {"class_eligibility": None, "escaped_computed_class": True}
    outcome.created.extend(replace_evaluation(one, snapshot_index=reader.index) for one in follow_ups)
    if failed and evaluation.status == BLOCKED:
        if outcome.has_plan or queued_differs(reader, evaluation, queued):
            outcome.evaluation = replace(
                evaluation,
                queued_allocations=queued,
                failed_tg_allocs=failed,
                snapshot_index=reader.index,
                **eligibility,
            )
        return
    blocked_id = ""
    waited = evaluation.wait_until is not None and from_rfc3339(evaluation.wait_until) <= now_ns
    if failed and job is not None and (not follow_ups or waited):
        blocked = _blocked(reader, job, evaluation, failed, eligibility)
        outcome.created.append(blocked)
        blocked_id = blocked.id
        outcome.changed.extend(duplicates(reader, evaluation))
    outcome.evaluation = replace(
        evaluation,
        status=COMPLETE,
        status_description="",
        deployment_id=deployment_id,
        failed_tg_allocs=failed or None,
        plan_annotations=plan_annotations(updates, victims),
        queued_allocations=queued or None,
        next_eval=follow_ups[-1].id if follow_ups else evaluation.next_eval,
        blocked_eval=blocked_id,
        snapshot_index=reader.index,
    )


def queued_differs(reader: Reader, evaluation: Evaluation, queued: dict[str, int]) -> bool:
    """Whether the job's summary shows other numbers."""
    summary = reader.get(JOB_SUMMARIES, (evaluation.namespace, evaluation.job_id))
    groups = summary.summary if summary is not None else {}
    return any(name in groups and groups[name].queued != number for name, number in queued.items())


def _blocked(
    reader: Reader,
    job: Job,
    evaluation: Evaluation,
    failed: dict[str, AllocMetric],
    eligibility: dict[str, object],
) -> Evaluation:
    blocked = Evaluation(
        id=derived_id(evaluation.id, reader.index, "blocked"),
        namespace=evaluation.namespace,
        priority=evaluation.priority,
        type=job.type,
        triggered_by="queued-allocs",
        job_id=job.id,
        job_modify_index=evaluation.job_modify_index,
        status=BLOCKED,
        status_description=PLACE_TEXT,
        previous_eval=evaluation.id,
        failed_tg_allocs=failed,
        snapshot_index=reader.index,
    )
    return replace_evaluation(blocked, **eligibility)


def blocked_on_node(
    reader: Reader, job: Job, evaluation: Evaluation, node_id: str, failed: dict[str, AllocMetric]
) -> Evaluation:
    """Return the blocked evaluation in which a system job waits for room on one node."""
    identifier = derived_id(evaluation.id, reader.index, f"blocked/{node_id}")
    return replace_evaluation(_blocked(reader, job, evaluation, failed, {}), id=identifier, node_id=node_id)


def replace_evaluation(evaluation: Evaluation, **changes: object) -> Evaluation:
    """The evaluation with some fields changed."""
    changed: Evaluation = replace(evaluation, **changes)
    return changed


def preemption_evaluations(victims: list[Allocation], new_id: Callable[[str], str]) -> list[Evaluation]:
    """One evaluation for each job that lost allocations."""
    jobs = {(one.namespace, one.job_id): one.job for one in victims if one.job is not None}
    return [
        Evaluation(
            id=new_id(f"preemption/{namespace}/{job_id}"),
            namespace=namespace,
            priority=job.priority,
            type=job.type,
            triggered_by="preemption",
            job_id=job_id,
            status=PENDING,
        )
        for (namespace, job_id), job in jobs.items()
    ]


def exhausted(reader: Reader, evaluation: Evaluation) -> Outcome:
    """The end of an evaluation whose plans were rejected again and again, and the one that tries once more later."""
    text = f"maximum attempts reached ({ATTEMPTS.get(evaluation.type, 5)})"
    blocked = Evaluation(
        id=derived_id(evaluation.id, reader.index, "conflicts"),
        namespace=evaluation.namespace,
        priority=evaluation.priority,
        type=evaluation.type,
        triggered_by="max-plan-attempts",
        job_id=evaluation.job_id,
        job_modify_index=evaluation.job_modify_index,
        status=BLOCKED,
        status_description=CONFLICT_TEXT,
        previous_eval=evaluation.id,
        escaped_computed_class=True,
        snapshot_index=reader.index,
    )
    ended = replace(
        evaluation,
        status=FAILED,
        status_description=text,
        blocked_eval=blocked.id,
        snapshot_index=reader.index,
    )
    return Outcome(ended, reader.index, created=[blocked], changed=duplicates(reader, evaluation))


def escapes_classes(job: Job) -> bool:
    """Whether a constraint depends on more than a node's class."""
    constraints = plain_constraints(job.constraints)
    for group in job.task_groups or ():
        constraints += group_constraints(group)
    return any(escapes(one) for one in constraints)


def duplicates(reader: Reader, evaluation: Evaluation, node_id: str = "") -> list[Evaluation]:
    """Older blocked evaluations of the job (on that node), which the new one replaces."""
    text = f'existing blocked evaluation exists for job "{evaluation.job_id}"'
    return [
        replace(other, status=CANCELED, status_description=text)
        for other in reader.find(EVALUATIONS, "live", (evaluation.namespace, evaluation.job_id))
        if other.status == BLOCKED and other.id != evaluation.id and other.node_id == node_id
    ]
