"""Affinities of nodes and devices (spec scheduling §12)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yurt.fsm.structs.constraint import Affinity
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import Node
from yurt.scheduler.cluster import Floats
from yurt.scheduler.devices import affinity, matching
from yurt.scheduler.feasible.operands import escapes, node_meets


def affinity_scores(job: Job, group: TaskGroup, nodes: Sequence[Node]) -> Floats | None:
    """The share of weight that each node matches, -1 to 1; None if nothing was asked for."""
    affinities = [*(job.affinities or ()), *(group.affinities or ())]
    affinities += [one for task in group.tasks or () for one in task.affinities or ()]
    total = sum(abs(one.weight) for one in affinities)
    if not total:
        return None
    known: dict[str, float] = {}
    alike = not any(escapes(one) for one in affinities)
    scores = []
    for node in nodes:
        score = known.get(node.computed_class) if alike and node.computed_class else None
        if score is None:
            score = known[node.computed_class] = _matched(affinities, node) / total
        scores.append(score)
    return np.array(scores)


def _matched(affinities: Sequence[Affinity], node: Node) -> int:
    return sum(one.weight for one in affinities if node_meets(one, node))


def device_scores(group: TaskGroup, nodes: Sequence[Node]) -> Floats | None:
    """The share of the devices' affinities that the best device groups of each node match; None if there are none."""
    wanted = [one for task in group.tasks or () if task.resources for one in task.resources.devices or ()]
    total = sum(abs(one.weight) for request in wanted for one in request.affinities or ())
    if not total:
        return None
    return np.array(
        [
            sum(max((affinity(one, request) for one in matching(node, request)), default=0) for request in wanted)
            / total
            for node in nodes
        ]
    )
