"""The validation of a task (spec job-model §5.4)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.validate.artifact import artifact_errors
from yurt.fsm.job.validate.constraint import DISTINCT, affinity_list_errors, constraint_errors
from yurt.fsm.job.validate.extras import action_list_errors, plugin_errors, secret_list_errors, vault_errors
from yurt.fsm.job.validate.identity import task_identity_errors
from yurt.fsm.job.validate.paths import ESCAPES, NAME_BYTES_MAX, escapes
from yurt.fsm.job.validate.resources import log_errors, resources_errors
from yurt.fsm.job.validate.service import task_service_errors
from yurt.fsm.job.validate.template import template_list_errors
from yurt.fsm.job.validate.volume import mount_errors
from yurt.fsm.lang.duration import format_duration
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.task import Lifecycle, Task

HOOKS = ("prestart", "poststart", "poststop")


def task_errors(task: Task, group: TaskGroup, job_type: str) -> Iterator[str]:
    """Yield the errors of the task, in order."""
    yield from _scalars(task, group, job_type)
    if task.resources is not None and (errors := list(resources_errors(task.resources))):
        yield multierror(errors)
    disk_mb = group.ephemeral_disk.size_mb if group.ephemeral_disk is not None else 0
    if task.log_config is not None and (errors := list(log_errors(task.log_config, disk_mb))):
        yield multierror(errors)
    for number, constraint in enumerate(task.constraints or (), start=1):
        if wrong := constraint_errors(constraint):
            yield f"Constraint {number} validation failed: {multierror(wrong)}"
        if constraint.operand in DISTINCT:
            yield f"Constraint {number} has disallowed Operand at task level: {constraint.operand}"
    if task.affinities:
        yield from affinity_list_errors(task.affinities, job_type)
    if task.services and (errors := list(task_service_errors(task, group))):
        yield multierror(errors)
    yield from _blocks(task)
    for number, mount in enumerate(task.volume_mounts or ()):
        if mount.volume not in (group.volumes or ()):
            yield f"Volume Mount ({number}) references undefined volume {mount.volume}"
        if errors := list(mount_errors(mount)):
            yield f'Volume Mount ({number}) is invalid: "{multierror(errors)}"'
    if task.csi_plugin_config is not None:
        yield from plugin_errors(task.csi_plugin_config)
    yield from task_identity_errors(task)
    if task.secrets:
        yield from secret_list_errors(task)


def _scalars(task: Task, group: TaskGroup, job_type: str) -> Iterator[str]:
    if not task.name:
        yield "Missing task name"
    elif task.name == "alloc":
        yield 'Task cannot be named "alloc"'
    if "/" in task.name or "\\" in task.name:
        yield "Task name cannot include slashes"
    elif "\0" in task.name:
        yield "Task name cannot include null characters"
    if (size := len(task.name.encode())) > NAME_BYTES_MAX:
        yield f"Task name is {size} bytes long, at most {NAME_BYTES_MAX} are readable by URL"
    if not task.driver:
        yield "Missing task driver"
    if task.kill_timeout < 0:
        yield "KillTimeout must be a positive value"
    if job_type == "service" and group.update is not None:
        progress = group.update.progress_deadline
        if 0 < progress < task.kill_timeout:
            longer, shorter = format_duration(task.kill_timeout), format_duration(progress)
            yield f"KillTimout ({longer}) longer than the group's ProgressDeadline ({shorter})"
    if task.shutdown_delay < 0:
        yield "ShutdownDelay must be a positive value"


def _blocks(task: Task) -> Iterator[str]:
    """Artifacts, Vault, templates, actions, the dispatched payload's place and the lifecycle."""
    for number, artifact in enumerate(task.artifacts or (), start=1):
        if errors := list(artifact_errors(artifact)):
            yield f"Artifact {number} validation failed: {multierror(errors)}"
    if task.vault is not None and (errors := list(vault_errors(task.vault))):
        yield f"Vault validation failed: {multierror(errors)}"
    if task.templates:
        yield from template_list_errors(task.templates)
    if task.actions:
        yield from action_list_errors(task.actions)
    if task.dispatch_payload is not None and escapes(task.dispatch_payload.file):
        yield f"Dispatch Payload validation failed: {ESCAPES}"
    if task.lifecycle is not None and (error := _lifecycle_error(task.lifecycle)):
        yield f"Lifecycle validation failed: {error}"


def _lifecycle_error(lifecycle: Lifecycle) -> str:
    if not lifecycle.hook:
        return "no lifecycle hook provided"
    return "" if lifecycle.hook in HOOKS else f"invalid hook: {lifecycle.hook}"
