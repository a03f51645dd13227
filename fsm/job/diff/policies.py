"""The diff shapes of a group's policies and of scaling policies (spec job-model §7)."""

from __future__ import annotations

from yurt.fsm.job.diff.shape import Flat, One, Shape
from yurt.fsm.structs.policies import (
    ConsulBlock,
    Disconnect,
    EphemeralDisk,
    MigrateStrategy,
    ReschedulePolicy,
    RestartPolicy,
    ScalingPolicy,
    UpdateStrategy,
)

CONSUL = One("consul", "Consul", Shape(ConsulBlock, primitive=True))
POLICIES = (
    One("restart_policy", "RestartPolicy", Shape(RestartPolicy, primitive=True)),
    One("migrate", "Migrate", Shape(MigrateStrategy, primitive=True)),
    One("reschedule_policy", "ReschedulePolicy", Shape(ReschedulePolicy, primitive=True)),
    One("ephemeral_disk", "EphemeralDisk", Shape(EphemeralDisk, primitive=True)),
    CONSUL,
    One("update", "Update", Shape(UpdateStrategy, primitive=True, without=frozenset({"stagger"}))),
    One("disconnect", "Disconnect", Shape(Disconnect, null="nil")),
)
# IDs and indexes make a policy another one, but are not shown.
SCALING = One(
    "scaling",
    "Scaling",
    Shape(
        ScalingPolicy,
        parts=(Flat("policy", "Policy", contextual=False),),
        without=frozenset({"id", "type", "target", "create_index", "modify_index"}),
        contextual=False,
    ),
)
