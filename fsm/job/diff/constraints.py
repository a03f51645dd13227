"""The diff shapes of constraints and affinities: an edited one is one deleted and one added (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.pairs import by
from yurt.fsm.job.diff.shape import Many, Shape
from yurt.fsm.structs.constraint import Affinity, Constraint

CONSTRAINTS = (
    Many(
        "constraints", "Constraint", Shape(Constraint, primitive=True), by(attrgetter("ltarget", "operand", "rtarget"))
    ),
    Many(
        "affinities",
        "Affinity",
        Shape(Affinity, primitive=True),
        by(attrgetter("ltarget", "operand", "rtarget", "weight")),
    ),
)
