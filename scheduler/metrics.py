"""The placement metrics of an allocation or an evaluation (spec scheduling §15)."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import numpy as np

from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import AllocMetric, ScoreMeta
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import Node
from yurt.fsm.structs.resources import Resources
from yurt.scheduler.cluster import Bools, Cluster, Floats, Ints
from yurt.scheduler.feasible.classes import Feasibility, Filtered, GroupVerdicts
from yurt.scheduler.sizes import DIMENSIONS

SCORES_KEPT = 5
_NOTHING = Resources(cpu=0, memory_mb=0)


class Scored(Protocol):
    """Candidates with their scores (`rank/stack.py`): arrays have a place for each."""

    rows: Ints
    exhausted: Ints
    hosts_taken: Bools
    parts: dict[str, Floats]

    def node(self, place: int) -> Node:
        """The node at a place."""

    def best(self, finals: Floats, count: int) -> list[int]:
        """The places with the best scores, the best first."""

    def boosts(self) -> Floats | None:
        """Return the boosts that spreads add to the scores; None without spreads."""


class Metrics:
    """Makes the metrics of one group."""

    def __init__(
        self, cluster: Cluster, feasibility: Feasibility, verdicts: GroupVerdicts, job: Job, group: TaskGroup
    ) -> None:
        self._cluster, self._verdicts, self._job, self._group = cluster, verdicts, job, group
        self._evaluated = len(feasibility.rows)
        self._available = feasibility.available if len(cluster) else None  # without nodes it is null
        self._classed = any(cluster.node_classes.texts)

    def placed(self, stack: Scored, finals: Floats, penalties: frozenset[int]) -> AllocMetric:
        """Return the metrics of an allocation that found a place: the best nodes with their scores."""
        dimensions: Counter[str] = Counter()
        numbers = np.bincount(stack.exhausted, minlength=len(DIMENSIONS) + 1)
        for name, number in zip(DIMENSIONS, numbers[1:].tolist(), strict=True):
            if number:
                dimensions[name] = number
        filtered = self._verdicts.filtered()
        texts, count = filtered.texts, filtered.count
        if taken := int(np.count_nonzero(stack.hosts_taken)):
            texts, count = texts + Counter({"distinct_hosts": taken}), count + taken
        return self._metric(
            Filtered(count, texts, filtered.classes),
            dimensions,
            self._classes(stack, np.flatnonzero(stack.exhausted).tolist())
            if dimensions and self._classed
            else Counter(),
            _scores(stack, finals, penalties),
        )

    def preempted(self, stack: Scored, place: int, score: float, preemption: float) -> AllocMetric:
        """Return the metrics of an allocation placed by preemption."""
        scores = {name: float(values[place]) for name, values in stack.parts.items()}
        scores["binpack"], scores["preemption"] = 2 * score - preemption, preemption
        meta = ScoreMeta(node_id=stack.node(place).id, norm_score=score, scores=scores)
        return self._metric(self._verdicts.filtered(), Counter(), Counter(), (meta,))

    def single(self, stack: Scored, place: int, reason: str = "") -> AllocMetric:
        """Return the metrics of one node alone: its scores, or `reason`, the dimension exhausted there."""
        name = stack.node(place).node_class
        dimensions = Counter({reason: 1}) if reason else Counter[str]()
        scores = {key: float(values[place]) for key, values in stack.parts.items()}
        meta = ScoreMeta(node_id=stack.node(place).id, norm_score=scores["binpack"], scores=scores)
        metric = self._metric(
            Filtered(), dimensions, Counter({name: 1}) if reason and name else Counter(), None if reason else (meta,)
        )
        alone: AllocMetric = replace(metric, nodes_evaluated=1)
        return alone

    def failed(self, stack: Scored, reasons: list[tuple[int, str, bool]]) -> AllocMetric:
        """Return the metrics of an allocation that found no place."""
        filtered = self._verdicts.filtered()
        texts, classes, count = Counter(filtered.texts), Counter(filtered.classes), filtered.count
        dimensions: Counter[str] = Counter()
        exhausted = []
        for place, text, is_filter in reasons:
            if not is_filter:
                dimensions[text] += 1
                exhausted.append(place)
                continue
            count += 1
            texts[text] += 1
            if name := stack.node(place).node_class:
                classes[name] += 1
        return self._metric(Filtered(count, texts, classes), dimensions, self._classes(stack, exhausted), None)

    def _classes(self, stack: Scored, places: list[int]) -> Counter[str]:
        names = (stack.node(place).node_class for place in places)
        return Counter(name for name in names if name)

    def _metric(
        self,
        filtered: Filtered,
        dimensions: Counter[str],
        classes: Counter[str],
        scores: tuple[ScoreMeta, ...] | None,
    ) -> AllocMetric:
        return AllocMetric(
            nodes_evaluated=self._evaluated,
            nodes_filtered=filtered.count,
            nodes_in_pool=self._evaluated,
            node_pool=self._job.node_pool,
            nodes_available=self._available,
            class_filtered=dict(filtered.classes) or None,
            constraint_filtered=dict(filtered.texts) or None,
            nodes_exhausted=dimensions.total(),
            class_exhausted=dict(classes) or None,
            dimension_exhausted=dict(dimensions) or None,
            resources_exhausted=exhausted_resources(self._group, dict(dimensions), 1) if dimensions else None,
            score_meta_data=scores,
        )


def exhausted_resources(group: TaskGroup, dimensions: dict[str, int], times: int) -> dict[str, Resources]:
    """Return each task's request in the exhausted dimensions, once per failed allocation."""
    found = {}
    for task in group.tasks or ():
        asked = task.resources or _NOTHING
        found[task.name] = Resources(
            cpu=asked.cpu * times if "cpu" in dimensions else 0,
            memory_mb=asked.memory_mb * times if "memory" in dimensions else 0,
        )
    return found


def _scores(stack: Scored, finals: Floats, penalties: frozenset[int]) -> tuple[ScoreMeta, ...]:
    boosts = stack.boosts()
    found = []
    for place in stack.best(finals, SCORES_KEPT):
        if finals[place] == -np.inf:
            break
        scores = {name: float(values[place]) for name, values in stack.parts.items()}
        if boosts is not None and boosts[place] != 0:
            scores["allocation-spread"] = float(boosts[place])
        if int(stack.rows[place]) in penalties:
            scores["node-reschedule-penalty"] = -1.0
        found.append(
            ScoreMeta(node_id=stack.node(place).id, norm_score=float(finals[place]), scores=scores),
        )
    return tuple(found)
