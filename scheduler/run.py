"""The common part of all evaluations: their inputs, and the plan entries that need no placement."""

from __future__ import annotations

from collections.abc import Mapping

from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import PENDING, Evaluation
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import BATCH, Job
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.plan import AllocationChange
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.ids import derived_id
from yurt.scheduler.outcome import Outcome
from yurt.scheduler.place import Placer
from yurt.scheduler.reconcile.result import Context, GroupResult
from yurt.scheduler.reconcile.updates import IGNORE, Updates
from yurt.scheduler.settings import Settings


def latest_deployment(reader: Reader, evaluation: Evaluation) -> Deployment | None:
    """The newest deployment of the evaluation's job."""
    found = reader.find(DEPLOYMENTS, "job", (evaluation.namespace, evaluation.job_id))
    return max(found, key=lambda one: one.create_index, default=None)


class Run:
    """One evaluation in work; `job` is None if it was purged."""

    def __init__(
        self, reader: Reader, cluster: Cluster, job: Job | None, evaluation: Evaluation, *, now_ns: int
    ) -> None:
        self.reader, self.cluster, self.job, self.evaluation, self.now_ns = reader, cluster, job, evaluation, now_ns
        self.outcome = Outcome(evaluation, reader.index)
        self.own = reader.find(ALLOCATIONS, "job", (evaluation.namespace, evaluation.job_id))
        settings = Settings.of(reader)
        self.placer = Placer(
            reader,
            cluster,
            evaluation,
            self.own,
            ranking=settings.ranking(evaluation.id, job),
            preempts=settings.preempts(job.type if job is not None else ""),
            now_ns=now_ns,
        )

    def context(self) -> Context:
        """Return the reconcilers' inputs beside the allocations."""
        job, placer = self.job, self.placer
        updates = Updates(job, lambda: placer.feasibility(job), lambda: placer.working) if job is not None else None
        return Context(
            job=job,
            evaluation=self.evaluation,
            now_ns=self.now_ns,
            find_node=self.find_node,
            kind=updates.kind if updates is not None else _ignore,
            is_pending=self._is_pending,
            new_id=self.new_id,
            batch=(job.type if job is not None else self.evaluation.type) == BATCH,
        )

    def find_node(self, node_id: str) -> Node | None:
        """The node of that ID."""
        row = self.cluster.rows.get(node_id)
        return self.cluster.nodes[row] if row is not None else None

    def _is_pending(self, eval_id: str) -> bool:
        found = self.reader.get(EVALUATIONS, eval_id)
        return found is not None and found.status == PENDING

    def new_id(self, what: str) -> str:
        """An ID that follows from the evaluation and what it is for."""
        return derived_id(self.evaluation.id, self.reader.index, what)

    def deploy(self, deployment: Deployment, job: Job) -> None:
        """Placements of the deployment's groups belong to it from now on."""
        self.placer.deployment_id = deployment.id
        self.placer.deployed = dict.fromkeys(deployment.task_groups or {}, job.version)

    def apply(self, groups: Mapping[str, GroupResult]) -> None:
        """Add the plan entries that need no placement: stops, changes, updates in place."""
        for name, group in groups.items():
            self.outcome.stopped += group.stops.values()
            for one in group.stopped:
                self.placer.working.release(one)
            changes = dict(group.changes)
            for one in group.in_place:
                assert self.job is not None
                known = changes.get(one.id, AllocationChange(id=one.id))
                changes[one.id] = replace(
                    known,
                    job_version=self.job.version,
                    deployment_id=self.placer.deployment_id if name in self.placer.deployed else "",
                )
            self.outcome.updated += changes.values()


def _ignore(_allocation: Allocation, _group: TaskGroup) -> str:
    return IGNORE
