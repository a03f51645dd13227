"""Feasibility of all nodes at once: a verdict a class, remembered for the evaluation (spec scheduling §11, §11.4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import Node
from yurt.scheduler.cluster import Bools, Cluster, Ints
from yurt.scheduler.feasible.nodes import (
    group_constraints,
    group_refusal,
    job_refusal,
    matches_datacenter,
    plain_constraints,
    volume_refusal,
)
from yurt.scheduler.feasible.operands import escapes

REMEMBERED = "computed class ineligible"
ALL_POOLS = "all"


@dataclass(frozen=True, slots=True)
class Filtered:
    """Nodes that were filtered: how many, by text, by node class."""

    count: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class GroupVerdicts:
    """One group over the eligible rows: which may run it, and what stopped the others, at first and later on."""

    rows: Ints
    first: Filtered
    later: Filtered
    tries: int = 0

    def filtered(self) -> Filtered:
        """Count a placement attempt, and return the filtered nodes that it reports."""
        self.tries += 1
        return self.first if self.tries == 1 else self.later


class Feasibility:
    """A job over all nodes. `order` is a permutation of the rows: the order in which equals are looked at."""

    def __init__(self, cluster: Cluster, job: Job, order: Ints) -> None:
        self._cluster, self._job = cluster, job
        size = len(cluster)
        eligible = cluster.ready[:size] & self._targeted(size)
        self.rows: Ints = order[eligible[order]]
        self.available = self._by_datacenter()
        self._job_verdicts: dict[int, str] = {}
        self._group_verdicts: dict[tuple[str, int], str] = {}
        self._known: dict[str, GroupVerdicts] = {}
        self._job_escapes = _escaped(plain_constraints(job.constraints))
        self.escaped = False
        self.classes: dict[str, bool] = {}

    def _targeted(self, size: int) -> Bools:
        cluster, job = self._cluster, self._job
        patterns = job.datacenters or ()
        wanted = np.array([matches_datacenter(patterns, one) for one in cluster.datacenters.texts] or [False])
        targeted: Bools = wanted[cluster.datacenter[:size]]
        if job.node_pool != ALL_POOLS:
            targeted &= cluster.pool[:size] == cluster.pools.numbers.get(job.node_pool, -1)
        return targeted

    def targets(self, node: Node) -> bool:
        """Whether the job's datacenters and pool include a node."""
        in_pool = self._job.node_pool in (ALL_POOLS, node.node_pool)
        return in_pool and matches_datacenter(self._job.datacenters or (), node.datacenter)

    def _by_datacenter(self) -> dict[str, int]:
        numbers, counts = np.unique(self._cluster.datacenter[self.rows], return_counts=True)
        texts = self._cluster.datacenters.texts
        return {texts[number]: int(count) for number, count in zip(numbers, counts, strict=True)}

    # --- one node

    def refusal(self, group: TaskGroup, row: int) -> str:
        """Return the reason why a row's node, ready or not, is infeasible for a group; "" if it is feasible."""
        node = self._cluster.nodes[row]
        assert node is not None
        number = int(self._cluster.computed_class[row])
        text = self._job_refusal(node, number) or self._group_refusal(group, node, number)
        return text or volume_refusal(group, node)

    def _job_refusal(self, node: Node, number: int) -> str:
        if self._job_escapes:
            return job_refusal(self._job, node)
        text = self._job_verdicts.get(number)
        if text is None:
            text = self._job_verdicts[number] = job_refusal(self._job, node)
        return text

    def _group_refusal(self, group: TaskGroup, node: Node, number: int) -> str:
        if _escaped(group_constraints(group)):
            return group_refusal(group, node)
        text = self._group_verdicts.get((group.name, number))
        if text is None:
            text = self._group_verdicts[group.name, number] = group_refusal(group, node)
        return text

    # --- all nodes

    def verdicts(self, group: TaskGroup) -> GroupVerdicts:
        """The eligible rows that may run a group, in order."""
        known = self._known.get(group.name)
        if known is None:
            known = self._known[group.name] = self._look(group)
        return known

    def _look(self, group: TaskGroup) -> GroupVerdicts:
        group_escapes = _escaped(group_constraints(group))
        self.escaped = self.escaped or self._job_escapes or group_escapes
        by_node = self._job_escapes or group_escapes
        job_known = None if self._job_escapes else frozenset(self._job_verdicts)
        volumes = any(one.type == "host" and not one.per_alloc for one in (group.volumes or {}).values())
        passing = np.ones(len(self.rows), np.bool_)
        first, later = _Tally(), _Tally()
        numbers = self._cluster.computed_class[self.rows]
        if by_node:
            members = [(int(number), np.array([at])) for at, number in enumerate(numbers)]
        else:
            kinds, inverse = np.unique(numbers, return_inverse=True)
            members = [(int(number), np.flatnonzero(inverse == kind)) for kind, number in enumerate(kinds)]
        for number, places in members:
            node = self._cluster.nodes[self.rows[places[0]]]
            assert node is not None
            text = self._job_refusal(node, number)
            remembered = bool(text) and job_known is not None and number in job_known
            text = text or self._group_refusal(group, node, number)
            self._remember_class(number, not text, job_refused=bool(self._job_verdicts.get(number)))
            if text:
                passing[places] = False
                name = node.node_class
                first.add(REMEMBERED if remembered else text, name, 1 if not by_node else len(places))
                first.add(text if by_node else REMEMBERED, name, len(places) - 1)
                later.add(text if by_node else REMEMBERED, name, len(places))
        if volumes:
            self._filter_volumes(group, passing, (first, later))
        return GroupVerdicts(self.rows[passing], first.filtered(), later.filtered())

    def _filter_volumes(self, group: TaskGroup, passing: Bools, tallies: tuple[_Tally, _Tally]) -> None:
        """Volumes are looked at on each node: they are not part of its class."""
        for place in np.flatnonzero(passing):
            node = self._cluster.nodes[self.rows[place]]
            assert node is not None
            if text := volume_refusal(group, node):
                passing[place] = False
                for tally in tallies:
                    tally.add(text, node.node_class, 1)

    def _remember_class(self, number: int, passes: bool, *, job_refused: bool) -> None:
        name = self._cluster.computed_classes.texts[number]
        if not name.startswith("node:"):
            self.classes[name] = not job_refused and (passes or self.classes.get(name, False))


class _Tally:
    def __init__(self) -> None:
        self.count = 0
        self.texts: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()

    def add(self, text: str, node_class: str, times: int) -> None:
        if times:
            self.count += times
            self.texts[text] += times
            if node_class:
                self.classes[node_class] += times

    def filtered(self) -> Filtered:
        return Filtered(self.count, self.texts, self.classes)


def _escaped(constraints: list[Constraint]) -> bool:
    return any(escapes(one) for one in constraints)
