"""The preconditions of a write on the stored job (spec job-model §6.2): checked before proposing and when applied."""

from __future__ import annotations

from yurt.fsm.errors import Refusal
from yurt.fsm.structs.job import Job

PAYLOAD_BYTES_MAX = 16384
PRIORITY_MAX = 100


def check_index(stored: Job | None, wanted: int) -> None:
    """Refuse unless the stored job's JobModifyIndex is `wanted` (0: there is no job)."""
    text = f"Enforcing job modify index {wanted}: "
    if stored is None:
        if wanted != 0:
            raise Refusal(500, text + "job does not exist")
    elif wanted == 0:
        raise Refusal(500, text + "job already exists")
    elif wanted != stored.job_modify_index:
        raise Refusal(500, f"{text}job exists with conflicting job modify index: {stored.job_modify_index}")


def check_update(stored: Job, job: Job) -> None:
    """Refuse changes of what a job is for its whole life."""
    if stored.type != job.type:
        raise Refusal(500, f'cannot update job from type "{stored.type}" to "{job.type}"')
    if stored.is_periodic and not job.is_periodic:
        raise Refusal(500, "cannot update periodic job to being non-periodic")
    if job.is_periodic and not stored.is_periodic:
        raise Refusal(500, "cannot update non-periodic job to being periodic")
    if stored.is_parameterized and not job.is_parameterized:
        raise Refusal(500, "cannot update parameterized job to being non-parameterized")
    if job.is_parameterized and not stored.is_parameterized:
        raise Refusal(500, "cannot update non-parameterized job to being parameterized")


def check_dispatch(job: Job | None, payload: bytes, meta: dict[str, str] | None, priority: int) -> Job:
    """The parameterized job that may be dispatched so; refuses with the first thing that is wrong."""
    if job is None:
        raise Refusal(500, "parameterized job not found")
    rules = job.parameterized_job
    if rules is None or not job.is_parameterized:
        raise Refusal(500, f'Specified job "{job.id}" is not a parameterized job')
    if job.stop:
        raise Refusal(500, f'Specified job "{job.id}" is stopped')
    if rules.payload == "required" and not payload:
        raise Refusal(500, "Payload is not provided but required by parameterized job")
    if rules.payload == "forbidden" and payload:
        raise Refusal(500, "Payload provided but forbidden by parameterized job")
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise Refusal(500, f"Payload exceeds maximum size; {len(payload)} > {PAYLOAD_BYTES_MAX}")
    required, given = rules.meta_required or (), meta or {}
    permitted = {*required, *(rules.meta_optional or ())}
    if wrong := [key for key in given if key not in permitted]:
        raise Refusal(500, f"Dispatch request included unpermitted metadata keys: [{' '.join(wrong)}]")
    if missing := [key for key in required if key not in given]:
        raise Refusal(500, f"Dispatch did not provide required meta keys: [{' '.join(missing)}]")
    if priority and not 1 <= priority <= PRIORITY_MAX:
        raise Refusal(500, f"dispatch job priority must be between [1, {PRIORITY_MAX}]")
    return job


def check_launch(job: Job | None) -> Job:
    """The periodic job that may be launched."""
    if job is None:
        raise Refusal(500, "job not found")
    if job.periodic is None:
        raise Refusal(500, "can't force launch non-periodic job")
    if job.stop or not job.periodic.enabled:
        raise Refusal(
            500,
            f'force launch for job "{job.id}" failed: can\'t force run non-tracked job "{job.id}" ({job.namespace})',
        )
    return job


def check_evaluate(job: Job | None) -> Job:
    """The job that may be evaluated by hand."""
    if job is None:
        raise Refusal(500, "job not found")
    if job.is_periodic:
        raise Refusal(500, "can't evaluate periodic job")
    if job.is_parameterized:
        raise Refusal(500, "can't evaluate parameterized job")
    return job


def check_scale(job: Job | None, job_id: str, group_name: str, count: int | None, count_max: int) -> Job:
    """The job that may be scaled so; the active deployment and the index are checked after this."""
    if job is None:
        raise Refusal(404, f'job "{job_id}" not found')
    if job.type == "system" and (count is None or count > 1):
        raise Refusal(400, 'jobs of type "system" can only be scaled between 0 and 1')
    group = job.group(group_name)
    if group is None:
        raise Refusal(400, f'task group "{group_name}" specified for scaling does not exist in job')
    if count is None:
        return job
    if policy := group.scaling:
        if count < policy.min:
            raise Refusal(400, f"group count was less than scaling policy minimum: {count} < {policy.min}")
        if count > policy.max:
            raise Refusal(400, f"group count was greater than scaling policy maximum: {count} > {policy.max}")
    total = sum(one.count for one in job.task_groups or ()) - group.count + count
    if count_max and total > count_max:
        raise Refusal(500, f"total count was greater than configured job_max_count: {total} > {count_max}")
    return job
