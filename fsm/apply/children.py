"""Children: dispatched from a parameterized job, launched from a periodic one (spec job-model §6.6)."""

from __future__ import annotations

from yurt.fsm.apply.evaluations import new_evaluation
from yurt.fsm.apply.life import ensure_summary, store_job
from yurt.fsm.apply.versions import drop_old_version
from yurt.fsm.commands import ChildMade, DispatchJob, LaunchPeriodicJob
from yurt.fsm.errors import Refusal
from yurt.fsm.job.rules import check_dispatch, check_launch
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS, JOBS, PERIODIC_LAUNCHES
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.author import NOBODY, authored
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job, PeriodicLaunch

SECOND = 1_000_000_000


def dispatch(txn: Transaction, command: DispatchJob) -> ChildMade:
    """Handle `DispatchJob`; the same idempotency token gives the child that is there."""
    found = txn.get(JOBS, (command.namespace, command.job_id))
    parent = check_dispatch(found, command.payload, command.meta, command.priority)
    if command.idempotency_token:
        key = (command.namespace, parent.id, command.idempotency_token)
        for known in txn.find(JOBS, "token", key):
            return ChildMade(child_id=known.id, job_create_index=known.create_index, index=known.modify_index)
    taken = txn.get(JOBS, (command.namespace, command.child_id)) is not None
    if taken or not command.child_id.startswith(f"{parent.id}/dispatch-"):
        raise Refusal(500, f'the ID "{command.child_id}" cannot be given to a child of job "{parent.id}"')
    meta = {**(parent.meta or {}), **(command.meta or {})}
    child: Job = replace(
        _child(txn, parent, command.child_id, command.now_ns),
        dispatched=True,
        submitted_by=authored(command.by),
        dispatch_idempotency_token=command.idempotency_token,
        priority=command.priority or parent.priority,
        payload=command.payload or None,
        meta=meta or None,
    )
    ensure_summary(txn, child)
    eval_id = "" if child.is_periodic else command.eval_id
    if eval_id:
        new_evaluation(txn, child, eval_id, triggered_by="job-register", now_ns=command.now_ns)
    store_job(txn, child, old_status="")
    return ChildMade(
        child_id=child.id,
        job_create_index=txn.index,
        eval_id=eval_id,
        eval_create_index=txn.index if eval_id else 0,
        index=txn.index,
    )


def _child(txn: Transaction, parent: Job, child_id: str, now_ns: int) -> Job:
    """A new record with the parent's content and version."""
    child: Job = replace(
        parent,
        id=child_id,
        name=child_id,
        parent_id=parent.id,
        version_tag=None,
        status="",
        submit_time=now_ns,
        submitted_by=NOBODY,
        create_index=txn.index,
        modify_index=txn.index,
        job_modify_index=txn.index,
    )
    return child


def launch(txn: Transaction, command: LaunchPeriodicJob) -> ChildMade:
    """Handle `LaunchPeriodicJob`; a second launch for the same second updates the first one's child."""
    parent = check_launch(txn.get(JOBS, (command.namespace, command.job_id)))
    child_id = f"{parent.id}/periodic-{command.launch_seconds}"
    stored = txn.get(JOBS, (command.namespace, child_id))
    if command.by_clock and (stored is not None or overlaps(txn, parent)):
        raise Refusal(500, f'job "{child_id}" is there already, or would overlap another child')
    child: Job = replace(_child(txn, parent, child_id, command.now_ns), periodic=None, dispatched=False)
    eval_id = "" if child.is_parameterized else command.eval_id
    if stored is None:
        ensure_summary(txn, child)
        if eval_id:
            new_evaluation(txn, child, eval_id, triggered_by="periodic-job", now_ns=command.now_ns)
        store_job(txn, child, old_status="")
        created = txn.index
    else:
        _update_child(txn, child, stored, eval_id, command)
        created = stored.create_index
    note_launch(txn, parent, command.launch_seconds * SECOND)
    return ChildMade(
        child_id=child_id,
        job_create_index=created,
        eval_id=eval_id,
        eval_create_index=txn.index if eval_id else 0,
        index=txn.index,
    )


def overlaps(reader: Reader, parent: Job) -> bool:
    """Whether another child must not start: overlaps are prohibited, and a child still does something."""
    if parent.periodic is None or not parent.periodic.prohibit_overlap:
        return False
    return any(
        reader.has(EVALUATIONS, "live", (child.namespace, child.id))
        or reader.has(ALLOCATIONS, "live", (child.namespace, child.id))
        for child in reader.find(JOBS, "parent", (parent.namespace, parent.id))
    )


def _update_child(txn: Transaction, child: Job, stored: Job, eval_id: str, command: LaunchPeriodicJob) -> None:
    """The child's next version, whether or not its content changed, and its evaluation."""
    if eval_id:
        new_evaluation(txn, child, eval_id, triggered_by="periodic-job", now_ns=command.now_ns)
    version = replace(child, version=stored.version + 1, status=stored.status, create_index=stored.create_index)
    store_job(txn, version, old_status=stored.status)
    drop_old_version(txn, child.namespace, child.id, command.versions_kept)


def note_launch(txn: Transaction, parent: Job, launch_ns: int) -> None:
    """Keep when a periodic job was launched last: the next leader goes on from there."""
    stored = txn.get(PERIODIC_LAUNCHES, (parent.namespace, parent.id))
    row = PeriodicLaunch(
        namespace=parent.namespace,
        id=parent.id,
        launch=launch_ns,
        create_index=stored.create_index if stored else txn.index,
        modify_index=txn.index,
    )
    txn.put(PERIODIC_LAUNCHES, row)
