"""The changes that a plan makes to allocations: stops, evictions, updates and placements (spec scheduling §6)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.apply.deployment_counts import count_in_deployment
from yurt.fsm.apply.node_evaluations import evaluate_job_of_node
from yurt.fsm.apply.tally import Tally
from yurt.fsm.commands import ApplyPlan
from yurt.fsm.store.schema import ALLOCATIONS, JOB_VERSIONS, JOBS, NODES, ROOT_KEYS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import EVICT, STOP, Allocation, RescheduleTracker
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import DISCONNECTED, DOWN, Node
from yurt.fsm.structs.plan import AllocationChange, AllocationStop, Placement
from yurt.fsm.structs.variable import ACTIVE

JobKey = tuple[str, str]


def apply_allocations(txn: Transaction, command: ApplyPlan) -> dict[JobKey, None]:
    """Store the allocations of a plan; answer the jobs that they belong to. Those that are gone are left out.

    A node may have gone down since the plan was made: its jobs were evaluated before this one was there, so this one is
    evaluated again.
    """
    writer = _Writer(txn, command)
    for stop in command.stopped:
        writer.change(stop.id, _stopped(stop))
    for eviction in command.evicted:
        text = f"Preempted by alloc ID {eviction.preempted_by}"
        fields = {
            "desired_status": EVICT,
            "desired_description": text,
            "preempted_by_allocation": eviction.preempted_by,
        }
        writer.change(eviction.id, fields)
    for change in command.changed:
        writer.change(change.id, {}, change)
    for placement in command.placed:
        writer.place(placement)
    writer.tally.store(txn)
    for key, node in writer.too_late.items() if command.evaluates_late else ():
        evaluate_job_of_node(txn, key, node, f"{command.eval_id}/{txn.index}", command.now_ns)
    return writer.jobs


def _stopped(stop: AllocationStop) -> dict[str, Any]:
    fields: dict[str, Any] = {"desired_status": STOP, "desired_description": stop.description}
    if stop.client_status:
        fields["client_status"] = stop.client_status
    if stop.followup_eval_id:
        fields["followup_eval_id"] = stop.followup_eval_id
    if stop.last_reschedule is not None:
        fields["last_reschedule"] = stop.last_reschedule
    return fields


class _Writer:
    """Writes the allocations of one plan."""

    def __init__(self, txn: Transaction, command: ApplyPlan) -> None:
        self._txn, self._command = txn, command
        self._versions: dict[tuple[str, str, int], Job | None] = {}
        self._signing_key = next((one.key_id for one in txn.scan(ROOT_KEYS) if one.state == ACTIVE), "")
        self.tally = Tally()
        self.jobs: dict[JobKey, None] = {}
        self.too_late: dict[JobKey, Node] = {}  # jobs with placements on nodes that are down, and one of those

    def change(self, alloc_id: str, fields: dict[str, Any], change: AllocationChange | None = None) -> None:
        """Store an allocation with some fields changed; `last_reschedule` is one of its tracker."""
        stored = self._txn.get(ALLOCATIONS, alloc_id)
        if stored is None:
            return
        if change is not None:
            fields |= self._changes(stored, change)
        if (last := fields.pop("last_reschedule", None)) is not None:
            tracker = stored.reschedule_tracker or RescheduleTracker()
            fields["reschedule_tracker"] = replace(tracker, last_reschedule=last)
        self._store(stored, replace(stored, **fields))

    def _changes(self, stored: Allocation, change: AllocationChange) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name in ("client_status", "client_description"):
            if value := getattr(change, name):
                fields[name] = value
        for name in ("followup_eval_id", "last_reschedule"):
            if (value := getattr(change, name)) is not None:
                fields[name] = value
        if change.alloc_state is not None:
            fields["alloc_states"] = (*(stored.alloc_states or ()), change.alloc_state)
        if change.job_version is not None:
            job = self._version(stored.namespace, stored.job_id, change.job_version)
            fields |= {"job": job or stored.job, "eval_id": self._command.eval_id}
            if change.deployment_id != stored.deployment_id:
                fields |= {"deployment_id": change.deployment_id, "deployment_status": None}
        return fields

    def place(self, placement: Placement) -> None:
        """Store a new allocation, unless its job is gone or stopped; link it with the one that it replaces."""
        given = placement.allocation
        current = self._txn.get(JOBS, (given.namespace, given.job_id))
        job = self._version(given.namespace, given.job_id, placement.job_version)
        if current is None or current.stop or job is None:
            return
        new = replace(
            given,
            job=job,
            signing_key_id=self._signing_key,
            create_index=self._txn.index,
            create_time=self._command.now_ns,
        )
        self._store(None, new)
        node = self._txn.get(NODES, new.node_id)
        if node is not None and node.status in (DOWN, DISCONNECTED):
            self.too_late[new.namespace, new.job_id] = node
        previous = self._txn.get(ALLOCATIONS, given.previous_allocation) if given.previous_allocation else None
        if previous is not None:
            self._txn.put(ALLOCATIONS, replace(previous, next_allocation=given.id, modify_index=self._txn.index))

    def _store(self, stored: Allocation | None, row: Allocation) -> None:
        index, now_ns = self._txn.index, self._command.now_ns
        row = replace(row, modify_index=index, alloc_modify_index=index, modify_time=now_ns)
        self._txn.put(ALLOCATIONS, row)
        self.jobs[row.namespace, row.job_id] = None
        self.tally.count(stored, row)
        count_in_deployment(self._txn, stored, row, now_ns)

    def _version(self, namespace: str, job_id: str, version: int) -> Job | None:
        key = (namespace, job_id, version)
        if key not in self._versions:
            self._versions[key] = self._txn.get(JOB_VERSIONS, key)
        return self._versions[key]
