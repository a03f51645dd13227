"""The validation of a job (spec job-model §4.2, §4.3)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.job.multierror import multierror
from yurt.fsm.job.validate.constraint import affinity_list_errors, constraint_list_errors, spread_list_errors
from yurt.fsm.job.validate.group import group_errors
from yurt.fsm.job.validate.paths import NAME_BYTES_MAX
from yurt.fsm.job.validate.periodic import Zones, only_utc, periodic_errors
from yurt.fsm.structs.job import Job, ParameterizedJob

TYPES = ("service", "batch", "system", "sysbatch", "_core")
DESCRIPTION_BYTES_MAX = 1000


def job_errors(job: Job, *, priority_max: int, count_max: int, zones: Zones = only_utc) -> Iterator[str]:
    """Yield the errors of the job, in order; none if it may be stored."""
    yield from _scalars(job)
    if not job.task_groups:
        yield "Missing job task groups"
    yield from constraint_list_errors(job.constraints)
    yield from affinity_list_errors(job.affinities, job.type)
    yield from spread_list_errors(job.spreads, job.type)
    yield from _descriptions(job)
    yield from _groups(job)
    yield from _children(job, zones)
    if job.type == "_core":
        yield "job type cannot be core"
    if job.payload:
        yield "job can't be submitted with a payload, only dispatched"
    if not 1 <= job.priority <= priority_max:
        yield f"job priority must be between [1, {priority_max}]"
    yield from _identities(job)
    total = sum(group.count for group in job.task_groups or ())
    if count_max and total > count_max:
        yield f"total count was greater than configured job_max_count: {total} > {count_max}"


def _scalars(job: Job) -> Iterator[str]:
    if not job.region:
        yield "Missing job region"
    if not job.id:
        yield "Missing job ID"
    elif " " in job.id:
        yield "Job ID contains a space"
    elif "\0" in job.id:
        yield "Job ID contains a null character"
    if len(job.id.encode()) > NAME_BYTES_MAX:
        yield f"Job ID is {len(job.id.encode())} bytes long, at most {NAME_BYTES_MAX} are readable by URL"
    if not job.name:
        yield "Missing job name"
    elif "\0" in job.name:
        yield "Job Name contains a null character"
    if not job.type:
        yield "Missing job type"
    elif job.type not in TYPES:
        yield f'Invalid job type: "{job.type}"'
    for datacenter in job.datacenters or ():
        if not datacenter:
            yield "Job datacenter must be non-empty string"


def _descriptions(job: Job) -> Iterator[str]:
    described = (("UI", job.ui), ("Tagged version", job.version_tag))
    for what, block in described:
        size = len(block.description.encode()) if block is not None else 0
        if size > DESCRIPTION_BYTES_MAX:
            yield f"{what} description must be under {DESCRIPTION_BYTES_MAX} characters, currently {size}"


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
            yield f"Job task group {group.name} has count {group.count}. Count cannot exceed 1 with system scheduler"
    for group in job.task_groups or ():
        if errors := list(group_errors(group, job.type)):
            yield f"Task group {group.name} validation failed: {multierror(errors)}"


def _children(job: Job, zones: Zones) -> Iterator[str]:
    """The blocks of jobs that are only ever run as children."""
    if job.periodic is not None and job.periodic.enabled:
        if job.type not in ("batch", "sysbatch"):
            yield 'Periodic can only be used with "batch" or "sysbatch" scheduler'
        if errors := list(periodic_errors(job.periodic, zones)):
            yield multierror(errors)
    if job.parameterized_job is not None:
        if job.type not in ("batch", "sysbatch"):
            yield 'Parameterized job can only be used with "batch" or "sysbatch" scheduler'
        if errors := list(_parameterized_errors(job.parameterized_job)):
            yield multierror(errors)


def _parameterized_errors(rules: ParameterizedJob) -> Iterator[str]:
    """Yield the errors of a parameterized block (spec job-model §5.15)."""
    if rules.payload not in ("optional", "required", "forbidden"):
        yield f'Unknown payload requirement: "{rules.payload}"'
    if both := set(rules.meta_required or ()) & set(rules.meta_optional or ()):
        text = "Required and optional meta keys should be disjoint. Following keys exist in both"
        yield f"{text}: [{' '.join(sorted(both))}]"


def _identities(job: Job) -> Iterator[str]:
    """Identities of services must have a name, those of Vault must be there."""
    for group in job.task_groups or ():
        for service in group.services or ():
            if service.identity is not None and not service.identity.name:
                yield f"Service {service.name} in task group {group.name} has an identity with an empty name"
        for task in group.tasks or ():
            for service in task.services or ():
                if service.identity is not None and not service.identity.name:
                    yield f"Service {service.name} in task {task.name} has an identity with an empty name"
            if task.vault is not None:
                needed = f"vault_{task.vault.cluster}"
                if all(identity.name != needed for identity in task.identities or ()):
                    yield (
                        f"Task {task.name} uses Vault cluster {task.vault.cluster} but does not have an identity "
                        f"named {needed} and no default identity is provided in agent configuration"
                    )
