"""Two tasks compared (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.constraints import CONSTRAINTS
from yurt.fsm.job.diff.fields import listed
from yurt.fsm.job.diff.files import ARTIFACTS, TEMPLATES
from yurt.fsm.job.diff.identities import ALTERNATES, IDENTITY
from yurt.fsm.job.diff.pairs import by, by_place
from yurt.fsm.job.diff.policies import CONSUL
from yurt.fsm.job.diff.resources import RESOURCES
from yurt.fsm.job.diff.services import SERVICES
from yurt.fsm.job.diff.shape import Flat, Many, One, Set, Shape, presence
from yurt.fsm.job.diff.volumes import MOUNTS
from yurt.fsm.job.equal import same
from yurt.fsm.structs.diff import TaskDiff
from yurt.fsm.structs.task import Action, DispatchPayload, LogConfig, Schedule, ScheduleCron, Secret, Task, Vault

TASK = Shape(
    Task,
    parts=(
        *CONSTRAINTS,
        Flat("config", "Config"),
        RESOURCES,
        One("log_config", "LogConfig", Shape(LogConfig, primitive=True)),
        One("dispatch_payload", "DispatchPayload", Shape(DispatchPayload, primitive=True)),
        ARTIFACTS,
        SERVICES,
        One("vault", "Vault", Shape(Vault)),
        Many("secrets", "Secret", Shape(Secret, parts=(Flat("config", "Config"),)), by(attrgetter("name"))),
        CONSUL,
        TEMPLATES,
        IDENTITY,
        ALTERNATES,
        Many("actions", "Action", Shape(Action, parts=(Set("args", "Args"),)), by_place),
        MOUNTS,
        One("schedule", "Schedule", Shape(Schedule, parts=(One("cron", "Cron", Shape(ScheduleCron)),))),
    ),
    without=frozenset({"name", "lifecycle", "restart_policy", "csi_plugin_config", "scaling_policies"}),
    contextual=False,
)


def diff_tasks(old: Task | None, new: Task | None) -> TaskDiff:
    """Two tasks of the same name; None is no task, and one of them is one."""
    name = (old or new or Task()).name
    if same(old, new):
        return TaskDiff(name=name)
    fields, objects = TASK.fields(old, new), TASK.objects(old, new)
    return TaskDiff(name=name, type=presence(old, new), fields=listed(fields), objects=listed(objects))
