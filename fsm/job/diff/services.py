"""The diff shape of services and their checks (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.connect import CONNECT
from yurt.fsm.job.diff.identities import IDENTITY
from yurt.fsm.job.diff.pairs import by, by_likeness, directly_or
from yurt.fsm.job.diff.shape import Flat, Many, One, Set, Shape
from yurt.fsm.structs.service import Check, CheckRestart, Service, Weights

_CHECK = Shape(
    Check,
    parts=(
        Flat("header", "Header"),
        One("check_restart", "CheckRestart", Shape(CheckRestart)),
    ),
    without=frozenset({"args"}),
)
SERVICES = Many(
    "services",
    "Service",
    Shape(
        Service,
        parts=(
            Set("canary_tags", "CanaryTags"),
            Set("tags", "Tags"),
            Many("checks", "Check", _CHECK, by(attrgetter("name"))),
            CONNECT,
            IDENTITY,
            One("weights", "Weights", Shape(Weights)),
        ),
    ),
    directly_or(by_likeness),
)
