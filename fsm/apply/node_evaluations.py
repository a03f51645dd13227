"""Which jobs a change of a node concerns, and their evaluations (spec scheduling §18)."""

from __future__ import annotations

from collections.abc import Iterable

from yurt.fsm.apply.evaluations import store_evaluation
from yurt.fsm.apply.life import refresh_status
from yurt.fsm.lang.glob import matches_glob
from yurt.fsm.lang.ids import seeded_id
from yurt.fsm.store.schema import ALLOCATIONS, JOBS
from yurt.fsm.store.transaction import Transaction
from yurt.fsm.structs.allocation import CLIENT_TERMINAL, Allocation
from yurt.fsm.structs.evaluation import pending_evaluation
from yurt.fsm.structs.job import BATCH, SERVICE, Job
from yurt.fsm.structs.node import Node

ALL_POOLS = "all"


def targets(job: Job, node: Node) -> bool:
    """Whether the job's datacenters and pool hold the node."""
    if job.node_pool not in (ALL_POOLS, node.node_pool):
        return False
    return any(matches_glob(pattern, node.datacenter) for pattern in job.datacenters or ())


def evaluate_nodes(txn: Transaction, nodes: Iterable[Node], seed: str, now_ns: int) -> tuple[str, ...]:
    """Make one `node-update` evaluation for each job that the nodes concern; answer their IDs."""
    made: dict[tuple[str, str], str] = {}
    for node in nodes:
        for job in _concerned(txn, node):
            key = (job.namespace, job.id)
            if key not in made:
                made[key] = _store(txn, job, node, seed, now_ns)
    for key in made:
        refresh_status(txn, *key)
    return tuple(made.values())


def evaluate_job_of_node(txn: Transaction, key: tuple[str, str], node: Node, seed: str, now_ns: int) -> None:
    """Make a `node-update` evaluation for one job."""
    if (job := txn.get(JOBS, key)) is not None:
        _store(txn, job, node, seed, now_ns)


def _concerned(txn: Transaction, node: Node) -> list[Job]:
    found: dict[tuple[str, str], Job] = {}
    for allocation in txn.find(ALLOCATIONS, "node", node.id):
        key = (allocation.namespace, allocation.job_id)
        job = txn.get(JOBS, key) or allocation.job
        if key not in found and job is not None and _lives_on(job, allocation):
            found[key] = job
    for job in txn.find(JOBS, "system", True):
        if targets(job, node):
            found.setdefault((job.namespace, job.id), job)
    return list(found.values())


def _lives_on(job: Job, allocation: Allocation) -> bool:
    ended = allocation.client_status in CLIENT_TERMINAL
    if job.type == SERVICE:
        return not (ended and allocation.is_server_terminal)
    return job.type == BATCH and not ended


def _store(txn: Transaction, job: Job, node: Node, seed: str, now_ns: int) -> str:
    eval_id = seeded_id(seed, job.namespace, job.id)
    evaluation = pending_evaluation(
        job, eval_id, "node-update", job_modify_index=0, node_id=node.id, node_modify_index=txn.index
    )
    store_evaluation(txn, evaluation, now_ns)
    return eval_id
