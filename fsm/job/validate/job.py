"""What every job must say of itself, its groups and tasks (spec job-model §4.2, §4.3; parts of §5.1, §5.4)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.validate.periodic import Zones, only_utc, periodic_errors
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.task import Task

TYPES = ("service", "batch", "system", "sysbatch")


def job_errors(job: Job, *, priority_max: int, count_max: int, zones: Zones = only_utc) -> Iterator[str]:
    """What is wrong with the job, in order; nothing if it may be stored."""
    yield from _scalars(job)
    if not job.task_groups:
        yield "Missing job task groups"
    yield from _groups(job)
    if job.periodic is not None and job.periodic.enabled:
        if job.type not in ("batch", "sysbatch"):
            yield 'Periodic can only be used with "batch" or "sysbatch" scheduler'
        if errors := list(periodic_errors(job.periodic, zones)):
            yield multierror(errors)
    if job.parameterized_job is not None and job.type not in ("batch", "sysbatch"):
        yield 'Parameterized job can only be used with "batch" or "sysbatch" scheduler'
    if not 1 <= job.priority <= priority_max:
        yield f"job priority must be between [1, {priority_max}]"
    total = sum(group.count for group in job.task_groups or ())
    if count_max and total > count_max:
        yield f"total count was greater than configured job_max_count: {total} > {count_max}"


def _scalars(job: Job) -> Iterator[str]:
    if not job.id:
        yield "Missing job ID"
    elif " " in job.id:
        yield "Job ID contains a space"
    elif "\0" in job.id:
        yield "Job ID contains a null character"
    if not job.name:
        yield "Missing job name"
    elif "\0" in job.name:
        yield "Job Name contains a null character"
    if job.type not in TYPES:
        yield f'Invalid job type: "{job.type}"'
    for datacenter in job.datacenters or ():
        if not datacenter:
            yield "Job datacenter must be non-empty string"


def _groups(job: Job) -> Iterator[str]:
    seen: dict[str, int] = {}
    for number, group in enumerate(job.task_groups or (), start=1):
        if not group.name:
            yield f"Job task group {number} missing name"
        elif group.name in seen:
            yield f"Job task group {number} redefines '{group.name}' from group {seen[group.name]}"
        else:
            seen[group.name] = number
        if (group.shutdown_delay or 0) < 0:
            yield "ShutdownDelay must be a positive value"
        if job.type == "system" and group.count > 1:
            yield (f"Job task group {group.name} has count {group.count}. Count cannot exceed 1 with system scheduler")
    for group in job.task_groups or ():
        if errors := list(_group(group)):
            yield f"Task group {group.name} validation failed: {multierror(errors)}"


def _group(group: TaskGroup) -> Iterator[str]:
    if not group.name:
        yield "Missing task group name"
    elif "\0" in group.name:
        yield "Task group name contains null character"
    if group.count < 0:
        yield "Task group count can't be negative"
    if not group.tasks:
        yield "Missing tasks for task group"
    seen: dict[str, int] = {}
    for number, task in enumerate(group.tasks or (), start=1):
        if not task.name:
            yield f"Task {number} missing name"
        elif task.name in seen:
            yield f"Task {number} redefines '{task.name}' from task {seen[task.name]}"
        else:
            seen[task.name] = number
    if sum(task.leader for task in group.tasks or ()) > 1:
        yield "Only one task may be marked as leader"
    for task in group.tasks or ():
        if errors := list(_task(task)):
            yield f"Task {task.name} validation failed: {multierror(errors)}"


def _task(task: Task) -> Iterator[str]:
    if not task.name:
        yield "Missing task name"
    elif task.name == "alloc":
        yield 'Task cannot be named "alloc"'
    if "/" in task.name or "\\" in task.name:
        yield "Task name cannot include slashes"
    elif "\0" in task.name:
        yield "Task name cannot include null characters"
    if not task.driver:
        yield "Missing task driver"
    if task.kill_timeout < 0:
        yield "KillTimeout must be a positive value"
    if task.shutdown_delay < 0:
        yield "ShutdownDelay must be a positive value"
