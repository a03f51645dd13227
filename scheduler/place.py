"""Placing what the reconciler wants, one allocation after the other (spec scheduling §7.9, §12, §13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from yurt.fsm.store.reader import Reader
from yurt.fsm.structs.allocation import (
    PENDING,
    RUN,
    Allocation,
    AllocDeploymentStatus,
)
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import AllocMetric, Evaluation
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.plan import AllocationEviction, Placement
from yurt.scheduler.cluster import Cluster, Ints
from yurt.scheduler.feasible.classes import Feasibility
from yurt.scheduler.ids import derived_id
from yurt.scheduler.metrics import exhausted_resources
from yurt.scheduler.preempt import preempting_choice
from yurt.scheduler.rank.stack import Choice, Ranking, Stack
from yurt.scheduler.reconcile.names import index_of
from yurt.scheduler.reconcile.reschedule import events_of, tracker_after
from yurt.scheduler.reconcile.result import Wanted
from yurt.scheduler.working import Working


@dataclass(slots=True)
class Placed:
    """The placements, the evictions for them, and the metrics of the first failed placement of each group."""

    placements: list[Placement] = field(default_factory=list)
    evicted: list[AllocationEviction] = field(default_factory=list)
    victims: list[Allocation] = field(default_factory=list)
    failed: dict[str, AllocMetric] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)


class Placer:
    """Places allocations of one evaluation on the cluster as the plan so far leaves it."""

    def __init__(
        self,
        reader: Reader,
        cluster: Cluster,
        evaluation: Evaluation,
        own: list[Allocation],
        *,
        ranking: Ranking,
        preempts: bool,
        now_ns: int,
    ) -> None:
        self.cluster, self.evaluation = cluster, evaluation
        self.placed = Placed()
        self.deployment_id = ""
        self.deployed: dict[str, int] = {}  # groups of the deployment
        self._reader, self._own, self._now_ns = reader, own, now_ns
        self._ranking, self._preempts = ranking, preempts
        self._feasibilities: dict[tuple[int, int], Feasibility] = {}
        self._stacks: dict[tuple[int, int, str], Stack] = {}
        self._preempted: dict[tuple[str, str, str], int] = {}

    @cached_property
    def working(self) -> Working:
        """The cluster as the plan so far leaves it; copied only when it is first used."""
        return Working(self.cluster, self._reader, self._own)

    @cached_property
    def _order(self) -> Ints:
        return np.random.default_rng(self._ranking.seed).permutation(len(self.cluster))

    def classes(self, job: Job) -> dict[str, bool]:
        """Computed classes of nodes that were looked at for the job: whether it may use them."""
        found = self._feasibilities.get((job.create_index, job.version))
        return found.classes if found is not None else {}

    def feasibility(self, job: Job) -> Feasibility:
        """Which nodes a version of the job may use."""
        key = (job.create_index, job.version)
        found = self._feasibilities.get(key)
        if found is None:
            found = self._feasibilities[key] = Feasibility(self.cluster, job, self._order)
        return found

    def stack(self, wanted: Wanted) -> Stack:
        """The ranked nodes of a wanted allocation's group."""
        key = (wanted.job.create_index, wanted.job.version, wanted.group.name)
        found = self._stacks.get(key)
        if found is None:
            feasibility = self.feasibility(wanted.job)
            found = Stack(self.working, feasibility, wanted.job, wanted.group, self._ranking)
            self._stacks[key] = found
        return found

    def place(self, wanted: Wanted) -> Allocation | None:
        """Place one; None if there is no place, which the group's failure then tells."""
        name = wanted.group.name
        if name in self.placed.failed:
            self._coalesce(wanted)
            return None
        if wanted.replaces is not None:
            self.working.release(wanted.replaces)
        stack = self.stack(wanted)
        choice = self._choose(stack, wanted)
        if choice is None:
            if wanted.replaces is not None:
                self.working.restore(wanted.replaces)
            self.placed.failed[name] = stack.failure()
            self.placed.queued[name] = self.placed.queued.get(name, 0) + 1
            return None
        return self._take(wanted, choice)

    def place_at(self, wanted: Wanted, row: int) -> Allocation | None:
        """Place one on that node and nowhere else; None if there is no room, which the group's failure then tells."""
        if wanted.replaces is not None:
            self.working.release(wanted.replaces)
        stack = self.stack(wanted)
        choice = stack.at(row, index_of(wanted.name))
        if isinstance(choice, str) and self._preempts:
            choice = preempting_choice(stack, wanted.job, self._preempted, row) or choice
        if not isinstance(choice, str):
            return self._take(wanted, choice)
        if wanted.replaces is not None:
            self.working.restore(wanted.replaces)
        name = wanted.group.name
        if name in self.placed.failed:
            self._coalesce(wanted)
        else:
            self.placed.failed[name] = stack.metrics.single(stack, stack.place_of(row), choice)
            self.placed.queued[name] = self.placed.queued.get(name, 0) + 1
        return None

    def _coalesce(self, wanted: Wanted) -> None:
        name = wanted.group.name
        metric = self.placed.failed[name]
        again = metric.coalesced_failures + 1
        dimensions = metric.dimension_exhausted
        resources = exhausted_resources(wanted.group, dimensions, again + 1) if dimensions else None
        self.placed.failed[name] = replace(metric, coalesced_failures=again, resources_exhausted=resources)
        self.placed.queued[name] = self.placed.queued.get(name, 0) + 1

    def _choose(self, stack: Stack, wanted: Wanted) -> Choice | None:
        index = index_of(wanted.name)
        preferred = self._preferred(wanted)
        there = stack.at(preferred, index) if preferred >= 0 else None
        choice = there if isinstance(there, Choice) else stack.select(self._penalties(wanted), index)
        if choice is None and self._preempts:
            choice = preempting_choice(stack, wanted.job, self._preempted)
        return choice

    def _preferred(self, wanted: Wanted) -> int:
        """The row of the previous node if data stay there, -1 otherwise."""
        previous, disk = wanted.previous, wanted.group.ephemeral_disk
        if previous is None or disk is None or not (disk.sticky or disk.migrate) or previous.job is None:
            return -1
        moved = (previous.job.node_pool, previous.job.datacenters) != (wanted.job.node_pool, wanted.job.datacenters)
        row = self.cluster.rows.get(previous.node_id, -1)
        return -1 if moved or row < 0 or not self.cluster.ready[row] else row

    def _penalties(self, wanted: Wanted) -> list[int]:
        previous = wanted.previous
        if not wanted.reschedule or previous is None:
            return []
        nodes = [previous.node_id, *(event.prev_node_id for event in events_of(previous))]
        rows = (self.cluster.rows.get(node, -1) for node in dict.fromkeys(nodes))
        return [row for row in rows if row >= 0]

    def _take(self, wanted: Wanted, choice: Choice) -> Allocation:
        placed, evaluation = self.placed, self.evaluation
        node = self.working.node(choice.row)
        identifier = derived_id(evaluation.id, self._reader.index, f"allocation/{len(placed.placements)}/{wanted.name}")
        current = not self._is_older(wanted)
        tracked = wanted.reschedule and wanted.previous is not None
        allocation = Allocation(
            id=identifier,
            name=wanted.name,
            namespace=evaluation.namespace,
            eval_id=evaluation.id,
            node_id=node.id,
            node_name=node.name,
            job_id=evaluation.job_id,
            task_group=wanted.group.name,
            allocated_resources=choice.resources,
            metrics=choice.metric,
            desired_status=RUN,
            client_status=PENDING,
            previous_allocation=wanted.previous.id if wanted.previous is not None else "",
            deployment_id=self.deployment_id if current and wanted.group.name in self.deployed else "",
            deployment_status=AllocDeploymentStatus(canary=True) if wanted.canary else None,
            reschedule_tracker=(
                tracker_after(wanted.previous, wanted.group, self._now_ns)
                if tracked and wanted.previous is not None
                else None
            ),
            preempted_allocations=tuple(one.id for one in choice.evicts) or None,
        )
        for victim in choice.evicts:
            self.working.release(victim, own=False)
            placed.evicted.append(AllocationEviction(id=victim.id, preempted_by=identifier))
            placed.victims.append(victim)
        self.working.place(choice.row, allocation, choice.size)
        placed.placements.append(Placement(allocation=allocation, job_version=wanted.job.version))
        return allocation

    def _is_older(self, wanted: Wanted) -> bool:
        return self.deployed.get(wanted.group.name, wanted.job.version) != wanted.job.version
