"""The validation of a group (spec job-model §5.1)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.validate.constraint import affinity_list_errors, constraint_list_errors, spread_list_errors
from yurt.fsm.job.validate.network import network_errors
from yurt.fsm.job.validate.paths import NAME_BYTES_MAX
from yurt.fsm.job.validate.policies import (
    disconnect_errors,
    disk_errors,
    migrate_errors,
    restart_errors,
    update_errors,
)
from yurt.fsm.job.validate.reschedule import reschedule_errors
from yurt.fsm.job.validate.scaling import scaling_errors
from yurt.fsm.job.validate.service import group_check_errors, group_service_errors
from yurt.fsm.job.validate.task import task_errors
from yurt.fsm.job.validate.volume import volume_errors
from yurt.fsm.structs.group import TaskGroup


def group_errors(group: TaskGroup, job_type: str) -> Iterator[str]:
    """Yield the errors of the group, in order."""
    yield from _scalars(group, job_type)
    if group.constraints:
        yield from constraint_list_errors(group.constraints)
    if group.affinities:
        yield from affinity_list_errors(group.affinities, job_type)
    yield from _policies(group, job_type)
    yield from _tasks(group)
    for name, volume in sorted((group.volumes or {}).items()):
        yield from _nested(f"volume validation for {name}", volume_errors(volume, group, job_type))
    yield from _nested("network validation", network_errors(group))
    if group.services or any(task.services for task in group.tasks or ()):
        yield from _nested("service validation", group_service_errors(group))
        yield from _nested("service check validation", group_check_errors(group))
    if group.scaling is not None:
        yield from _nested("scaling policy validation", scaling_errors(group.scaling, group.count))
    for task in group.tasks or ():
        if errors := list(task_errors(task, group, job_type)):
            yield f"Task {task.name} validation failed: {multierror(errors)}"


def _nested(what: str, found: Iterator[str]) -> Iterator[str]:
    if errors := list(found):
        yield f"Task group {what} failed: {multierror(errors)}"


def _scalars(group: TaskGroup, job_type: str) -> Iterator[str]:
    if not group.name:
        yield "Missing task group name"
    elif "\0" in group.name:
        yield "Task group name contains null character"
    elif (size := len(group.name.encode())) > NAME_BYTES_MAX:
        yield f"Task group name is {size} bytes long, at most {NAME_BYTES_MAX} are readable by URL"
    if group.count < 0:
        yield "Task group count can't be negative"
    if not group.tasks:
        yield "Missing tasks for task group"
    if group.disconnect is not None:
        yield from disconnect_errors(group.disconnect, job_type)
    if group.max_run_duration is not None:
        if group.max_run_duration <= 0:
            yield "MaxRunDuration must be greater than zero"
        if job_type not in ("batch", "sysbatch"):
            yield f'Job type "{job_type}" does not allow max_run_duration'


def _policies(group: TaskGroup, job_type: str) -> Iterator[str]:
    if group.restart_policy is not None:
        yield from restart_errors(group.restart_policy)
    if group.spreads:
        yield from spread_list_errors(group.spreads, job_type)
    if group.reschedule_policy is not None:
        if job_type in ("system", "sysbatch"):
            yield "System or sysbatch jobs should not have a reschedule policy"
        else:
            yield from reschedule_errors(group.reschedule_policy)
    if group.ephemeral_disk is not None:
        yield from disk_errors(group.ephemeral_disk)
    if group.update is not None:
        if job_type not in ("service", "system"):
            yield f'Job type "{job_type}" does not allow update block'
        yield from update_errors(group.update)
    if group.migrate is not None:
        if job_type == "service":
            yield from migrate_errors(group.migrate)
        else:
            yield f'Job type "{job_type}" does not allow migrate block'


def _tasks(group: TaskGroup) -> Iterator[str]:
    """The tasks seen together: names, one leader, one that is no hook."""
    tasks = group.tasks or ()
    seen: dict[str, int] = {}
    for number, task in enumerate(tasks, start=1):
        if not task.name:
            yield f"Task {number} missing name"
        elif task.name in seen:
            yield f"Task {number} redefines '{task.name}' from task {seen[task.name]}"
        else:
            seen[task.name] = number
    if sum(task.leader for task in tasks) > 1:
        yield "Only one task may be marked as leader"
    if tasks and all(task.lifecycle is not None and task.lifecycle.hook for task in tasks):
        yield f"Task group {group.name} must have at least one main task"
