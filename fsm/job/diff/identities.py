"""The diff shapes of workload identities (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.pairs import by
from yurt.fsm.job.diff.shape import Many, One, Set, Shape
from yurt.fsm.structs.identity import WorkloadIdentity

_IDENTITY = Shape(WorkloadIdentity, parts=(Set("audience", "Audience"),))
IDENTITY = One("identity", "Identity", _IDENTITY)
ALTERNATES = Many("identities", "Identity", _IDENTITY, by(attrgetter("name")))
