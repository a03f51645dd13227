"""Purging a job: everything of it goes at once, but for its evaluations (spec job-model §6.8)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.apply.life import count_child
from yurt.fsm.store.schema import (
    ALLOCATIONS,
    DEPLOYMENTS,
    EVALUATIONS,
    JOB_SUBMISSIONS,
    JOB_SUMMARIES,
    JOB_VERSIONS,
    JOBS,
    NODES,
    PERIODIC_LAUNCHES,
    SCALING_EVENTS,
    SERVICE_REGISTRATIONS,
    Table,
)
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import COMPLETE
from yurt.fsm.structs.job import DEAD, Job


def delete_job(txn: Transaction, job: Job, now_ns: int) -> None:
    """Delete the job with its versions, submissions, summary, events, deployments and allocations.

    Evaluations that wait become complete. A child that was not dead counts as dead at its parent.
    """
    key = (job.namespace, job.id)
    txn.delete(JOBS, key)
    txn.delete(JOB_SUMMARIES, key)
    txn.delete(SCALING_EVENTS, key)
    txn.delete(PERIODIC_LAUNCHES, key)
    _delete_all(txn, JOB_VERSIONS, key)
    _delete_all(txn, JOB_SUBMISSIONS, key)
    _delete_all(txn, DEPLOYMENTS, key)
    _delete_all(txn, SERVICE_REGISTRATIONS, key)
    _tell_nodes(txn, key)
    _delete_all(txn, ALLOCATIONS, key)
    txn.touch(ALLOCATIONS)
    for evaluation in txn.find(EVALUATIONS, "live", key):
        ended = replace(
            evaluation,
            status=COMPLETE,
            status_description=f"job {job.id} deleted",
            modify_index=txn.index,
            modify_time=max(now_ns, evaluation.create_time + 1),
        )
        txn.put(EVALUATIONS, ended)
    if job.status != DEAD:
        count_child(txn, job, job.status, DEAD)


def _tell_nodes(txn: Transaction, key: tuple[str, str]) -> None:
    """Nodes that run something of the job learn that it is gone when they themselves change."""
    for node_id in dict.fromkeys(
        one.node_id for one in txn.find(ALLOCATIONS, "job", key) if not one.is_client_terminal
    ):
        node = txn.get(NODES, node_id)
        if node is not None:
            txn.put(NODES, replace(node, modify_index=txn.index))


def _delete_all(txn: Transaction, table: Table[Any, Any], key: tuple[str, str]) -> None:
    for row in txn.find(table, "job", key):
        txn.delete(table, table.key(row))
