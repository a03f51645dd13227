"""The handlers of nodes' allocation updates and of desired transitions (spec scheduling §2.2, §9.3, §17)."""

from __future__ import annotations

from yurt.fsm.apply.deployment_counts import count_in_deployment
from yurt.fsm.apply.evaluations import store_evaluation
from yurt.fsm.apply.life import refresh_status
from yurt.fsm.apply.services import delete_of_allocation
from yurt.fsm.apply.tally import Tally
from yurt.fsm.commands_base import Done
from yurt.fsm.commands_nodes import AllocUpdate, TransitionAllocations, UpdateAllocations
from yurt.fsm.lang.ids import seeded_id
from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS, JOBS, NODES
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import STOP, Allocation, AllocDeploymentStatus, DesiredTransition
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import CANCELED, pending_evaluation
from yurt.fsm.structs.job import BATCH, SERVICE, Job
from yurt.fsm.structs.times import from_rfc3339

FAILED, UNKNOWN = "failed", "unknown"
JobKey = tuple[str, str]


def update(txn: Transaction, command: UpdateAllocations) -> Done:
    """Handle `UpdateAllocations`: at most one evaluation a job and reason; unknown allocations are left out."""
    tally, seen = Tally(), _Evaluations(txn, command)
    jobs: dict[JobKey, None] = {}
    nodes: dict[str, None] = {}
    for given in command.updates:
        stored = txn.get(ALLOCATIONS, given.id)
        if stored is None:
            continue
        row = _reported(txn, stored, given, command.now_ns)
        key = (row.namespace, row.job_id)
        jobs[key] = nodes[row.node_id] = None
        if stored.client_status == UNKNOWN and row.client_status != UNKNOWN:
            row = _reconnected(txn, row, command.now_ns)
            seen.add(row, "reconnect")
        if txn.get(JOBS, key) is None and not row.is_server_terminal:
            row = replace(row, desired_status=STOP, alloc_modify_index=txn.index)
            seen.add(row, "job-deregister")
        elif row.client_status == FAILED != stored.client_status and may_reschedule(row, command.now_ns):
            seen.add(row, "alloc-failure")
        txn.put(ALLOCATIONS, row)
        if row.is_client_terminal and not stored.is_client_terminal:
            delete_of_allocation(txn, row.id)
        tally.count(stored, row)
        count_in_deployment(txn, stored, row, command.now_ns)
    tally.store(txn)
    for node_id in nodes:
        node = txn.get(NODES, node_id)
        if node is not None:
            txn.put(NODES, replace(node, last_alloc_update_index=txn.index, modify_index=txn.index))
    for key in jobs:
        refresh_status(txn, *key)
    return Done(index=txn.index)


def _reported(txn: Transaction, stored: Allocation, given: AllocUpdate, now_ns: int) -> Allocation:
    """The allocation as its node sees it; a node may set the health and its time, nothing else of a deployment."""
    status, health = stored.deployment_status, given.deployment_status
    if health is not None and health.healthy is not None and (status is None or status.healthy != health.healthy):
        status = replace(
            status or AllocDeploymentStatus(),
            healthy=health.healthy,
            timestamp=health.timestamp,
            modify_index=txn.index,
        )
    row: Allocation = replace(
        stored,
        client_status=given.client_status or stored.client_status,
        client_description=given.client_description,
        task_states=given.task_states,
        network_status=given.network_status if given.network_status is not None else stored.network_status,
        deployment_status=status,
        modify_index=txn.index,
        modify_time=max(now_ns, stored.create_time + 1),
    )
    return row


def _reconnected(txn: Transaction, row: Allocation, now_ns: int) -> Allocation:
    """The evaluation that waited for the node's end is canceled, unless other allocations wait with it."""
    waiting = row.followup_eval_id
    if not waiting:
        return row
    others = txn.find(ALLOCATIONS, "live", (row.namespace, row.job_id))
    evaluation = txn.get(EVALUATIONS, waiting)
    if evaluation is not None and not any(o.followup_eval_id == waiting and o.id != row.id for o in others):
        ended = replace(evaluation, status=CANCELED, status_description="allocs reconnected")
        store_evaluation(txn, ended, now_ns)
    cleared: Allocation = replace(row, followup_eval_id="")
    return cleared


def may_reschedule(allocation: Allocation, now_ns: int) -> bool:
    """Whether a failed allocation gets an evaluation: it may be replaced, now or later (spec scheduling §7.4)."""
    job = allocation.job
    if job is None or allocation.is_server_terminal or allocation.followup_eval_id:
        return False
    if job.type not in (SERVICE, BATCH):
        return True
    group = job.group(allocation.task_group)
    policy = group.reschedule_policy if group else None
    if policy is None:
        return False
    if policy.unlimited:
        return True
    tracker = allocation.reschedule_tracker
    since = _failed_at(allocation, now_ns) - policy.interval
    used = sum(event.reschedule_time > since for event in (tracker.events or ())) if tracker else 0
    return used < policy.attempts


def _failed_at(allocation: Allocation, now_ns: int) -> int:
    times = [from_rfc3339(one.finished_at) for one in (allocation.task_states or {}).values() if one.finished_at]
    return max(times, default=now_ns)


class _Evaluations:
    """The evaluations that reports make: one a job, for the first reason."""

    def __init__(self, txn: Transaction, command: UpdateAllocations) -> None:
        self._txn, self._command = txn, command
        self._made: set[JobKey] = set()

    def add(self, allocation: Allocation, trigger: str) -> None:
        """Evaluate the allocation's job, unless that was done."""
        key = (allocation.namespace, allocation.job_id)
        job: Job | None = self._txn.get(JOBS, key) or allocation.job
        if key in self._made or job is None:
            return
        self._made.add(key)
        evaluation = pending_evaluation(job, seeded_id(self._command.seed, *key), trigger)
        store_evaluation(self._txn, evaluation, self._command.now_ns)


def transition(txn: Transaction, command: TransitionAllocations) -> Done:
    """Handle `TransitionAllocations`; what is set in a transition is added to what an allocation has."""
    for alloc_id, wanted in command.transitions.items():
        stored = txn.get(ALLOCATIONS, alloc_id)
        if stored is None:
            continue
        changes = {name: value for name in _FIELDS if (value := getattr(wanted, name)) is not None}
        marks = replace(stored.desired_transition or DesiredTransition(), **changes)
        txn.put(
            ALLOCATIONS, replace(stored, desired_transition=marks, modify_index=txn.index, modify_time=command.now_ns)
        )
    for evaluation in command.evaluations:
        store_evaluation(txn, evaluation, command.now_ns)
        refresh_status(txn, evaluation.namespace, evaluation.job_id)
    return Done(index=txn.index)


_FIELDS = DesiredTransition.__struct_fields__
