"""Evaluations: made by writes, changed by the leader's duties, collected at last (spec scheduling §2.4)."""

from __future__ import annotations

from yurt.fsm.apply.life import refresh_status, set_queued
from yurt.fsm.apply.purge import delete_job
from yurt.fsm.apply.services import delete_of_allocation
from yurt.fsm.apply.versions import has_tag
from yurt.fsm.commands import CollectGarbage, Done, EvaluateJob, JobWritten, UpdateEvaluations
from yurt.fsm.job.rules import check_evaluate
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOBS, NODES
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import DesiredTransition
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import BLOCKED, CANCELED, COMPLETE, PENDING, Evaluation
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import DOWN


def new_evaluation(
    txn: Transaction, job: Job, eval_id: str, *, triggered_by: str, now_ns: int, priority: int = 0, type: str = ""
) -> Evaluation:
    """Store a pending evaluation of a job; its status is not recomputed here."""
    evaluation = Evaluation(
        id=eval_id,
        namespace=job.namespace,
        priority=priority or job.priority,
        type=type or job.type,
        triggered_by=triggered_by,
        job_id=job.id,
        job_modify_index=txn.index,
        status=PENDING,
        create_index=txn.index,
        modify_index=txn.index,
        create_time=now_ns,
        modify_time=now_ns,
    )
    txn.put(EVALUATIONS, evaluation)
    return evaluation


def store_evaluation(txn: Transaction, evaluation: Evaluation, now_ns: int) -> Evaluation:
    """Store a changed or new evaluation and what follows: queued numbers, blocked ones that it makes needless."""
    stored = txn.get(EVALUATIONS, evaluation.id)
    created = evaluation.create_time or now_ns
    times = {"create_time": created, "modify_time": max(now_ns, created + 1) if stored else now_ns}
    create_index = stored.create_index if stored else txn.index
    evaluation = replace(evaluation, create_index=create_index, modify_index=txn.index, **times)
    txn.put(EVALUATIONS, evaluation)
    set_queued(txn, evaluation.namespace, evaluation.job_id, evaluation.queued_allocations)
    if evaluation.status == COMPLETE and not evaluation.failed_tg_allocs:
        _cancel_blocked(txn, evaluation)
    return evaluation


def _cancel_blocked(txn: Transaction, done: Evaluation) -> None:
    key = (done.namespace, done.job_id)
    if not txn.has(EVALUATIONS, "live", key):
        return
    for other in txn.find(EVALUATIONS, "live", key):
        if other.status == BLOCKED and other.id != done.id:
            canceled = replace(
                other,
                status=CANCELED,
                status_description=f'evaluation "{done.id}" successful',
                modify_index=txn.index,
                modify_time=done.modify_time,
            )
            txn.put(EVALUATIONS, canceled)


def update(txn: Transaction, command: UpdateEvaluations) -> Done:
    """Handle `UpdateEvaluations`."""
    for evaluation in command.evaluations:
        store_evaluation(txn, evaluation, command.now_ns)
        refresh_status(txn, evaluation.namespace, evaluation.job_id)
    return Done(index=txn.index)


def evaluate(txn: Transaction, command: EvaluateJob) -> JobWritten:
    """Handle `EvaluateJob`."""
    job = check_evaluate(txn.get(JOBS, (command.namespace, command.job_id)))
    if command.force_reschedule:
        _force_reschedule(txn, job)
    new_evaluation(txn, job, command.eval_id, triggered_by="job-register", now_ns=command.now_ns)
    answer = JobWritten(
        job_modify_index=job.modify_index, eval_id=command.eval_id, eval_create_index=txn.index, index=txn.index
    )
    refresh_status(txn, job.namespace, job.id)
    return answer


def _force_reschedule(txn: Transaction, job: Job) -> None:
    """Mark failed, not yet replaced allocations of groups that may be rescheduled."""
    for allocation in txn.find(ALLOCATIONS, "job", (job.namespace, job.id)):
        group = job.group(allocation.task_group)
        policy = group.reschedule_policy if group else None
        enabled = policy is not None and (policy.unlimited or policy.attempts > 0)
        if enabled and allocation.client_status == "failed" and not allocation.next_allocation:
            wanted = replace(allocation.desired_transition or DesiredTransition(), force_reschedule=True)
            txn.put(ALLOCATIONS, replace(allocation, desired_transition=wanted, modify_index=txn.index))


def collect(txn: Transaction, command: CollectGarbage) -> Done:
    """Handle `CollectGarbage`; what is in use again by now is left."""
    jobs: dict[tuple[str, str], None] = {}
    for eval_id in command.evaluation_ids:
        evaluation = txn.get(EVALUATIONS, eval_id)
        if evaluation is not None and evaluation.is_terminal:
            txn.delete(EVALUATIONS, eval_id)
            jobs[evaluation.namespace, evaluation.job_id] = None
    for deployment_id in command.deployment_ids:
        deployment = txn.get(DEPLOYMENTS, deployment_id)
        if deployment is not None and not deployment.is_active:
            txn.delete(DEPLOYMENTS, deployment_id)
    for alloc_id in command.allocation_ids:
        allocation = txn.get(ALLOCATIONS, alloc_id)
        if allocation is not None and allocation.is_terminal:
            txn.delete(ALLOCATIONS, alloc_id)
            delete_of_allocation(txn, alloc_id)
    for node_id in command.node_ids:
        node = txn.get(NODES, node_id)
        if node is not None and node.status == DOWN:
            txn.delete(NODES, node_id)
    for key in jobs:
        refresh_status(txn, *key, evaluation_deleted=True)
    for key in command.jobs:
        job = txn.get(JOBS, key)
        if job is not None and job.status == "dead" and not (command.keeps_tagged and has_tag(txn, *key)):
            delete_job(txn, job, command.now_ns)
    return Done(index=txn.index)
