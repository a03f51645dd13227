"""Two task groups compared (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.constraints import CONSTRAINTS
from yurt.fsm.job.diff.fields import by_name, field, in_order, listed, text_of
from yurt.fsm.job.diff.networks import NETWORKS
from yurt.fsm.job.diff.pairs import by
from yurt.fsm.job.diff.policies import POLICIES, SCALING
from yurt.fsm.job.diff.services import SERVICES
from yurt.fsm.job.diff.shape import Shape, presence
from yurt.fsm.job.diff.task import diff_tasks
from yurt.fsm.job.diff.volumes import VOLUMES
from yurt.fsm.job.equal import same
from yurt.fsm.structs.diff import TaskDiff, TaskGroupDiff
from yurt.fsm.structs.group import TaskGroup

GROUP = Shape(
    TaskGroup,
    parts=(*CONSTRAINTS, *POLICIES, NETWORKS, SCALING, SERVICES, VOLUMES),
    without=frozenset(
        {
            "name", "tasks", "spreads", "shutdown_delay", "max_run_duration", "max_client_disconnect",
            "stop_after_client_disconnect",
        }
    ),
    contextual=False,
)  # fmt: skip
of_one_name = by(attrgetter("name"))


def diff_groups(old: TaskGroup | None, new: TaskGroup | None) -> TaskGroupDiff:
    """Two groups of the same name; None is no group, and one of them is one."""
    name = (old or new or TaskGroup()).name
    tasks = _tasks(old, new)
    if same(old, new):
        return TaskGroupDiff(name=name, tasks=tasks)
    fields, objects = GROUP.fields(old, new), GROUP.objects(old, new)
    if old is not None and new is not None and old.shutdown_delay != new.shutdown_delay:
        delays = ("" if one is None else text_of(one) for one in (old.shutdown_delay, new.shutdown_delay))
        fields = in_order([*fields, field("ShutdownDelay", *delays)])
    kind = presence(old, new)
    return TaskGroupDiff(name=name, type=kind, fields=listed(fields), objects=listed(objects), tasks=tasks)


def _tasks(old: TaskGroup | None, new: TaskGroup | None) -> tuple[TaskDiff, ...] | None:
    pairs = of_one_name((old and old.tasks) or (), (new and new.tasks) or ())
    return listed(sorted((diff_tasks(a, b) for a, b in pairs), key=by_name))
