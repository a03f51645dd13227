"""Constraints that look at the job's other allocations: distinct_hosts, distinct_property (spec scheduling §11.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from yurt.fsm.structs.constraint import Constraint
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.node import Node
from yurt.scheduler.cluster import Bools
from yurt.scheduler.feasible.operands import (
    DISTINCT_HOSTS,
    DISTINCT_PROPERTY,
    is_distinct_hosts,
    property_limit,
)
from yurt.scheduler.rank.spread import Values


class PropertyLimit:
    """A distinct_property over nodes; counts of its values are kept as the plan grows."""

    def __init__(self, constraint: Constraint, *, whole_job: bool, nodes: Sequence[Node]) -> None:
        self.attribute, self.whole_job = constraint.ltarget, whole_job
        self._limit = property_limit(constraint)
        self._values = Values(constraint.ltarget, nodes)
        self._used: Counter[str] = Counter()

    def count(self, value: str | None, change: int) -> None:
        """An allocation came to a node with that value, or left it."""
        if value is not None:
            self._used[value] += change

    def allowed(self) -> Bools:
        """Which nodes have the property with a value that may be used once more."""
        by_value = [self._used[value] < self._limit for value in self._values.texts]
        allowed: Bools = np.array([*by_value, False])[self._values.codes]
        return allowed

    def text_at(self, place: int) -> str:
        """Return the text that the node of a place is filtered with."""
        code = int(self._values.codes[place])
        if code == len(self._values.texts):
            return f'missing property "{self.attribute}"'
        value = self._values.texts[code]
        return f"distinct_property: {self.attribute}={value} used by {self._used[value]} allocs"


def hosts_scopes(job: Job, group: TaskGroup) -> tuple[bool, bool]:
    """Whether allocations of the whole job, or of the group, need different nodes."""
    return _has_distinct_hosts(job.constraints), _has_distinct_hosts(group.constraints)


def _has_distinct_hosts(constraints: Sequence[Constraint] | None) -> bool:
    return any(one.operand == DISTINCT_HOSTS and is_distinct_hosts(one) for one in constraints or ())


def property_limits(job: Job, group: TaskGroup, nodes: Sequence[Node]) -> list[PropertyLimit]:
    """The distinct_property constraints that count for a group."""
    return [
        PropertyLimit(one, whole_job=whole_job, nodes=nodes)
        for constraints, whole_job in ((job.constraints, True), (group.constraints, False))
        for one in constraints or ()
        if one.operand == DISTINCT_PROPERTY
    ]
