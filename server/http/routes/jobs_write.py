"""Registering, stopping, reverting and evaluating jobs (spec jobs-api §3.2, §3.5, §3.11–§3.13, §3.21)."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from yurt.fsm.acl.capabilities import MOUNT_READ, MOUNT_WRITE
from yurt.fsm.apply.jobs import reverted
from yurt.fsm.commands import (
    DeregisterFamily,
    DeregisterJob,
    EvaluateJob,
    JobWritten,
    RegisterJob,
    RevertJob,
    SetJobStability,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.admit import NO_REGION, Admitted, admit, admit_submission, errors_of, prepare
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.multierror import multierror, multiwarning
from yurt.fsm.job.requests import EvaluateRequest, RegisterRequest, RevertRequest, StableRequest, decode_request
from yurt.fsm.job.rules import check_evaluate, check_index, check_update
from yurt.fsm.job.warnings import job_warnings, memory_warnings
from yurt.fsm.store.schema import JOBS, SCHEDULER_CONFIG
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.job import Job, JobSubmission
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.answers import IndexAnswer, answered
from yurt.server.http.asgi.context import Answer, Context, index_header, json_answer
from yurt.server.http.query.reads import NO_CONTACT, UNKNOWN
from yurt.server.leader.families import end_family
from yurt.server.platform.worker_thread import LARGE_BODY_BYTES

REGISTRATION_DISABLED = "Job registration, dispatch, and scale are disabled by the scheduler configuration"


class JobWriteAnswer(Record, frozen=True):
    """The result of a write of a job."""

    eval_create_index: int
    eval_id: str
    index: int
    job_modify_index: int
    known_leader: bool = False
    last_contact: int = 0
    next_token: str = ""


class JobRegisterAnswer(JobWriteAnswer, frozen=True):
    """The same with what is odd about the job."""

    warnings: str = ""


class JobDeregisterAnswer(JobWriteAnswer, frozen=True):
    """The same with what clients look for of volumes."""

    volume_eval_id: str = msgspec.field(default="", name="VolumeEvalID")
    volume_eval_index: int = 0


class JobValidateAnswer(Record, frozen=True):
    """The result of a job's admission."""

    driver_config_validated: bool
    error: str
    validation_errors: tuple[str, ...] | None
    warnings: str


def written(result: JobWritten, *, warnings: str = "", known_leader: bool = False) -> JobRegisterAnswer:
    """Return the answer that most writes of jobs give."""
    return JobRegisterAnswer(
        eval_create_index=result.eval_create_index,
        eval_id=result.eval_id,
        index=result.index,
        job_modify_index=result.job_modify_index,
        known_leader=known_leader,
        warnings=warnings,
    )


def check_region(context: Context, *given: str) -> None:
    """Refuse another region; the query's wins over the body's."""
    wanted = context.query.get("region") or next((one for one in given if one), "")
    if wanted and wanted not in (context.server.region, "global"):
        raise Refusal(500, NO_REGION)


def check_registration(context: Context) -> None:
    """Refuse new work while the scheduler configuration says so; management may go on."""
    configuration = context.server.view().get(SCHEDULER_CONFIG, "")
    is_off = configuration is not None and configuration.reject_job_registration
    if is_off and not context.identity.rights.is_management:
        raise Refusal(403, REGISTRATION_DISABLED)


def check_volumes(context: Context, job: Job) -> None:
    """Volumes that a job mounts must be open to who registers it; raises Refusal(403)."""
    rights = context.identity.rights
    volumes = [one for group in job.task_groups or () for one in (group.volumes or {}).values()]
    for volume in volumes:
        if volume.type == "csi":
            context.allow(job.namespace, "csi-mount-volume")
        elif not rights.with_volume(volume.source, MOUNT_READ if volume.read_only else MOUNT_WRITE):
            raise denied()


def check_priority(priority: int) -> None:
    """Refuse a priority of an evaluation that is out of range; 0 is unset."""
    if priority and not 1 <= priority <= 100:
        raise Refusal(400, "Eval priority must be between 1 and 100 inclusively")


async def admitted(context: Context, body: dict[str, Any]) -> Admitted:
    """The job of a register or plan request, admitted in the namespace that wins; a large one beside the event loop."""
    job = body["Job"]
    namespace = context.query.get("namespace") or body.get("Namespace") or job.get("Namespace") or "default"
    server = context.server
    work = partial(admit, job, reader=server.view(), namespace=namespace, region=server.region, limits=server.limits)
    return work() if len(context.body) < LARGE_BODY_BYTES else await context.beside_loop(work)


async def register(context: Context) -> Answer:
    """POST /v1/jobs and /v1/job/:id."""
    body = decode_body(context.body, RegisterRequest)
    job = body.get("Job")
    if job is None:
        raise Refusal(400, "Job must be specified")
    if "ID" not in job:
        raise Refusal(400, "Job ID hasn't been provided")
    if context.arguments and context.arguments[0] != job["ID"]:
        raise Refusal(400, "Job ID does not match name")
    groups = job.get("TaskGroups", ())
    if job.get("Type") == "system" and any("Scaling" in group for group in groups):
        raise Refusal(400, "Task groups with job type system do not support scaling blocks")
    check_priority(body.get("EvalPriority", 0))
    check_region(context, body.get("Region", ""), job.get("Region", ""))
    check_registration(context)
    ready = await admitted(context, body)
    server = context.server
    context.allow(ready.job.namespace)
    check_volumes(context, ready.job)
    stored = server.view().get(JOBS, (ready.job.namespace, ready.job.id))
    if body.get("EnforceIndex"):
        check_index(stored, body.get("JobModifyIndex", 0))
    if stored is not None:
        check_update(stored, ready.job)
    given = body.get("Submission")
    submission, warning = admit_submission(msgspec.convert(given, JobSubmission) if given else None, server.limits)
    fresh = any(group.scaling for group in ready.job.task_groups or ())
    result = await server.propose(
        RegisterJob(
            now_ns=server.now_ns(),
            job=ready.job,
            submission=submission,
            enforce_index=body.get("EnforceIndex", False),
            job_modify_index=body.get("JobModifyIndex", 0),
            preserve_counts=body.get("PreserveCounts", False),
            preserve_resources=body.get("PreserveResources", False),
            eval_id=server.new_id(),
            eval_priority=body.get("EvalPriority", 0),
            scaling_policy_ids=tuple(server.new_id() for _ in ready.job.task_groups or ()) if fresh else (),
            versions_kept=server.versions_kept,
            by=context.author(),
        )
    )
    warnings = multiwarning((*ready.warnings, *([warning] if warning else [])))
    return answered(written(result, warnings=warnings), result.index)


async def deregister(context: Context) -> Answer:
    """DELETE /v1/job/:id; `children=true`: with all that came of it (docs/extras.md)."""
    kind = DeregisterFamily if context.flag("children") else DeregisterJob
    purge = context.flag("purge")
    context.allow(context.namespace, "submit-job", "purge-job" if purge else "deregister-job")
    context.flag("global")
    priority = context.integer("eval_priority") or 0
    if priority > 0:
        check_priority(priority)
    value = context.query.get("no_shutdown_delay", "")
    odd = f'Failed to parse value of "no_shutdown_delay"q ({value}) as a bool: '
    skip_delay = context.flag("no_shutdown_delay", odd)
    check_region(context)
    server, job_id = context.server, context.arguments[0]
    result = JobWritten(job_modify_index=0)
    if server.view().get(JOBS, (context.namespace, job_id)) is not None:
        command = kind(
            now_ns=server.now_ns(),
            namespace=context.namespace,
            job_id=job_id,
            purge=purge,
            no_shutdown_delay=skip_delay,
            eval_id=server.new_id(),
            eval_priority=max(priority, 0),
            versions_kept=server.versions_kept,
            by=context.author(),
        )
        if isinstance(command, DeregisterFamily):
            result = await end_family(server, command)
        else:
            result = await server.propose(command)
    body = JobDeregisterAnswer(
        eval_create_index=result.eval_create_index,
        eval_id=result.eval_id,
        index=result.index,
        job_modify_index=result.job_modify_index,
    )
    return answered(body, result.index)


async def revert(context: Context) -> Answer:
    """POST /v1/job/:id/revert."""
    request = decode_request(context.body, RevertRequest)
    if not request.job_id:
        raise Refusal(400, "JobID must be specified")
    if request.job_id != context.arguments[0]:
        raise Refusal(400, "Job ID does not match")
    if request.tagged_version and request.job_version:
        raise Refusal(400, "JobVersion and TaggedVersion cannot be used together")
    check_region(context, request.region)
    server = context.server
    namespace = context.query.get("namespace") or request.namespace or "default"
    context.allow(namespace)
    command = RevertJob(
        now_ns=server.now_ns(),
        namespace=namespace,
        job_id=request.job_id,
        version=request.job_version,
        tag=request.tagged_version,
        enforce_prior_version=request.enforce_prior_version,
        eval_id=server.new_id(),
        versions_kept=server.versions_kept,
        by=context.author(),
    )
    view = server.view()
    if errors := errors_of(reverted(view, command)[0], view, server.limits):
        raise Refusal(500, multierror(errors))
    result = await server.propose(command)
    headers = (index_header(result.index), UNKNOWN, NO_CONTACT)
    return json_answer(to_json(written(result)), *headers)


async def stable(context: Context) -> Answer:
    """POST /v1/job/:id/stable."""
    request = decode_request(context.body, StableRequest)
    if not request.job_id:
        raise Refusal(400, "JobID must be specified")
    if request.job_id != context.arguments[0]:
        raise Refusal(400, "Job ID does not match")
    check_region(context, request.region)
    server = context.server
    namespace = context.query.get("namespace") or request.namespace or "default"
    context.allow(namespace)
    result = await server.propose(
        SetJobStability(
            now_ns=server.now_ns(),
            namespace=namespace,
            job_id=request.job_id,
            version=request.job_version,
            stable=request.stable,
        )
    )
    return answered(IndexAnswer(index=result.index), result.index)


async def evaluate(context: Context) -> Answer:
    """POST /v1/job/:id/evaluate; the body is optional."""
    request = EvaluateRequest(job_id=context.arguments[0])
    if context.body:
        request = decode_request(context.body, EvaluateRequest)
        if not request.job_id:
            raise Refusal(400, "Job ID must be specified")
        if request.job_id != context.arguments[0]:
            raise Refusal(400, "JobID not same as job name")
    check_region(context, request.region)
    server = context.server
    namespace = context.query.get("namespace") or request.namespace or "default"
    context.allow(namespace)
    check_evaluate(server.view().get(JOBS, (namespace, request.job_id)))
    result = await server.propose(
        EvaluateJob(
            now_ns=server.now_ns(),
            namespace=namespace,
            job_id=request.job_id,
            eval_id=server.new_id(),
            force_reschedule=request.eval_options.force_reschedule,
        )
    )
    return answered(written(result), result.index)


async def validate(context: Context) -> Answer:
    """POST /v1/validate/job: what admission says, without storing anything."""
    body = decode_body(context.body, RegisterRequest)
    job = body.get("Job")
    if job is None:
        raise Refusal(400, "Job must be specified")
    check_region(context, body.get("Region", ""))
    server = context.server
    namespace = job.get("Namespace") or "default"
    context.allow(namespace)
    ready = prepare(job, namespace=namespace, region=server.region, limits=server.limits)
    view = server.view()
    judge = partial(errors_of, ready, view, server.limits)
    errors = judge() if len(context.body) < LARGE_BODY_BYTES else await context.beside_loop(judge)
    found = JobValidateAnswer(
        driver_config_validated=True,
        error=multierror(errors) if errors else "",
        validation_errors=tuple(errors) or None,
        warnings=multiwarning((*memory_warnings(ready, view), *job_warnings(ready))),
    )
    return json_answer(to_json(found))
