"""The diff shape of a task's resources (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.constraints import CONSTRAINTS
from yurt.fsm.job.diff.networks import NETWORKS
from yurt.fsm.job.diff.pairs import by
from yurt.fsm.job.diff.shape import Many, One, Set, Shape
from yurt.fsm.structs.resources import NUMA, Device, Resources

RESOURCES = One(
    "resources",
    "Resources",
    Shape(
        Resources,
        parts=(
            NETWORKS,
            Many("devices", "Device", Shape(Device, parts=CONSTRAINTS), by(attrgetter("name"))),
            One("numa", "NUMA", Shape(NUMA, parts=(Set("devices", "Devices"),))),
        ),
    ),
)
