"""Scaling, tagging, dispatching, launching and planning jobs (spec jobs-api §3.10, §3.14–§3.16, §3.20)."""

from __future__ import annotations

import base64
import time
from functools import partial
from typing import Any

from yurt.fsm.commands import ChildMade, DispatchJob, LaunchPeriodicJob, ScaleJob, TagJobVersion, UntagJobVersion
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.requests import DispatchRequest, JobPlanRequest, ScaleRequest, TagRequest, decode_request
from yurt.fsm.job.rules import check_dispatch, check_launch, check_scale
from yurt.fsm.job.validate.paths import NAME_BYTES_MAX
from yurt.fsm.job.validate.periodic import next_time
from yurt.fsm.store.schema import ALLOCATIONS, JOBS, NODES
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.diff import JobDiff
from yurt.fsm.structs.evaluation import AllocMetric, Evaluation, PlanAnnotations
from yurt.fsm.structs.times import to_rfc3339
from yurt.scheduler.annotate import plan_job
from yurt.server.http.asgi.answers import answered, encoded
from yurt.server.http.asgi.context import Answer, Context, json_answer
from yurt.server.http.routes.job_diffs import encoded_plan
from yurt.server.http.routes.jobs_write import admitted, check_region, check_registration, written

PLANNED_AT_ONCE = 512  # nodes and allocations that a plan looks at within some 5 ms


class LaunchAnswer(Record, frozen=True):
    """The result of a forced launch of a periodic job."""

    eval_create_index: int
    eval_id: str
    index: int


class DispatchAnswer(Record, frozen=True):
    """The child that a dispatch made."""

    dispatched_job_id: str
    eval_create_index: int
    eval_id: str
    index: int
    job_create_index: int


class TagAnswer(Record, frozen=True, kw_only=True):
    """The tag of a version; empty when it was taken away."""

    name: str = ""
    description: str = ""
    tagged_time: int = 0
    index: int
    known_leader: bool = False
    last_contact: int = 0
    next_token: str = ""


class PlanAnswer(Record, frozen=True):
    """The effects that a registration would have; `next_periodic_launch` is RFC 3339."""

    annotations: PlanAnnotations
    created_evals: tuple[Evaluation, ...] | None
    diff: JobDiff | None
    failed_tg_allocs: dict[str, AllocMetric] | None
    index: int
    job_modify_index: int
    next_periodic_launch: str | None
    warnings: str


async def scale(context: Context) -> Answer:
    """POST /v1/job/:id/scale."""
    request = decode_request(context.body, ScaleRequest)
    job_id, server = context.arguments[0], context.server
    if request.target.job and request.target.job != job_id:
        raise Refusal(400, "job ID in payload did not match URL")
    check_region(context, request.region)
    namespace = context.namespace
    if request.target.namespace and request.target.namespace != namespace:
        raise Refusal(400, "namespace in payload did not match header")
    if not request.target.group:
        raise Refusal(400, "missing task group name for scaling action")
    if request.count is not None and request.count < 0:
        raise Refusal(400, "scaling action count can't be negative")
    if request.error and request.count is not None:
        raise Refusal(400, "scaling action should not contain count if error is true")
    check_registration(context)
    stored = server.view().get(JOBS, (namespace, job_id))
    check_scale(stored, job_id, request.target.group, request.count, server.limits.count_max)
    result = await server.propose(
        ScaleJob(
            now_ns=server.now_ns(),
            namespace=namespace,
            job_id=job_id,
            group=request.target.group,
            count=request.count,
            message=request.message,
            error=request.error,
            meta=request.meta,
            job_modify_index=request.job_modify_index,
            eval_id=server.new_id(),
            count_max=server.limits.count_max,
            versions_kept=server.versions_kept,
            by=context.author(),
        )
    )
    return answered(written(result, known_leader=True), result.index)


async def dispatch(context: Context) -> Answer:
    """POST /v1/job/:id/dispatch."""
    body = decode_body(context.body, DispatchRequest)
    if body.get("JobID") and body["JobID"] != context.arguments[0]:
        raise Refusal(400, "Job ID does not match")
    check_region(context, body.get("Region", ""))
    payload = base64.b64decode(body.get("Payload", ""))
    return await _dispatch(context, payload, body)


async def dispatch_payload(context: Context) -> Answer:
    """POST /v1/job/:id/dispatch/payload: the body is the payload."""
    check_region(context)
    return await _dispatch(context, context.body, {})


async def _dispatch(context: Context, payload: bytes, body: dict[str, Any]) -> Answer:
    server, job_id = context.server, context.arguments[0]
    namespace = context.query.get("namespace") or body.get("Namespace") or "default"
    check_registration(context)
    context.allow(namespace)
    meta, priority = body.get("Meta"), body.get("Priority", 0)
    check_dispatch(server.view().get(JOBS, (namespace, job_id)), payload, meta, priority)
    now_ns, unique = server.now_ns(), server.new_id()[:8]
    prefix = f"{body['IDPrefixTemplate']}-" if body.get("IDPrefixTemplate") else ""
    result: ChildMade = await server.propose(
        DispatchJob(
            now_ns=now_ns,
            namespace=namespace,
            job_id=job_id,
            child_id=f"{job_id}/dispatch-{prefix}{now_ns // 1_000_000_000}-{unique}",
            payload=payload,
            meta=meta,
            priority=priority,
            idempotency_token=context.query.get("idempotency_token", ""),
            eval_id=server.new_id(),
            by=context.author(),
        )
    )
    made = DispatchAnswer(
        dispatched_job_id=result.child_id,
        eval_create_index=result.eval_create_index,
        eval_id=result.eval_id,
        index=result.index,
        job_create_index=result.job_create_index,
    )
    return answered(made, result.index)


async def force_periodic(context: Context) -> Answer:
    """POST /v1/job/:id/periodic/force."""
    check_region(context)
    server, job_id = context.server, context.arguments[0]
    check_launch(server.view().get(JOBS, (context.namespace, job_id)))
    now_ns = server.now_ns()
    result: ChildMade = await server.propose(
        LaunchPeriodicJob(
            now_ns=now_ns,
            namespace=context.namespace,
            job_id=job_id,
            launch_seconds=now_ns // 1_000_000_000,
            eval_id=server.new_id(),
            versions_kept=server.versions_kept,
        )
    )
    made = LaunchAnswer(eval_create_index=result.eval_create_index, eval_id=result.eval_id, index=result.index)
    return answered(made, result.index)


async def tag(context: Context) -> Answer:
    """POST /v1/job/:id/versions/:tag/tag."""
    job_id, name = context.arguments
    if len(name.encode()) > NAME_BYTES_MAX:
        raise Refusal(400, f"the tag is {len(name.encode())} bytes long, at most {NAME_BYTES_MAX} are readable by URL")
    request = decode_request(context.body, TagRequest)
    check_region(context)
    if request.latest and request.version:
        raise Refusal(500, f"version must be zero when tagging latest, got: {request.version}")
    server = context.server
    result = await server.propose(
        TagJobVersion(
            now_ns=server.now_ns(),
            namespace=context.namespace,
            job_id=job_id,
            tag=name,
            description=request.description,
            version=None if request.latest else request.version,
            versions_kept=server.versions_kept,
        )
    )
    made = TagAnswer(
        name=result.name, description=result.description, tagged_time=result.tagged_time, index=result.index
    )
    return json_answer(to_json(made))


async def untag(context: Context) -> Answer:
    """DELETE /v1/job/:id/versions/:tag/tag."""
    job_id, name = context.arguments
    check_region(context)
    server = context.server
    result = await server.propose(
        UntagJobVersion(
            now_ns=server.now_ns(),
            namespace=context.namespace,
            job_id=job_id,
            tag=name,
            versions_kept=server.versions_kept,
        )
    )
    return json_answer(to_json(TagAnswer(index=result.index)))


async def plan(context: Context) -> Answer:
    """POST /v1/job/:id/plan: what a registration would do; nothing changes."""
    body = decode_body(context.body, JobPlanRequest)
    job = body.get("Job")
    if job is None:
        raise Refusal(400, "Job must be specified")
    if not job.get("ID"):
        raise Refusal(400, "Job must have a valid ID")
    if job["ID"] != context.arguments[0]:
        raise Refusal(400, "Job ID does not match")
    check_region(context, body.get("Region", ""), job.get("Region", ""))
    ready = await admitted(context, body)
    context.allow(ready.job.namespace)
    server = context.server
    view = server.view()
    stored = view.get(JOBS, (ready.job.namespace, ready.job.id))
    started = time.perf_counter_ns()
    work = partial(plan_job, view.detached(), ready.job, eval_id=server.new_id(), now_ns=server.now_ns())
    wanted = sum(group.count for group in ready.job.task_groups or ())
    is_small = wanted + view.count(NODES) + view.count(ALLOCATIONS) <= PLANNED_AT_ONCE
    planned = work() if is_small else await context.beside_loop(work)
    planned = planned.timed(time.perf_counter_ns() - started)
    index = stored.job_modify_index if stored else 0
    periodic = ready.job.periodic
    launch = next_time(periodic, server.now_ns(), server.limits.zones) if periodic is not None else None
    diff = None
    if body.get("Diff"):
        stored_bytes = len(server.machine.store.encoded(JOBS, stored)) if stored else 0
        diff = encoded(await encoded_plan(context, stored, stored_bytes, ready.job, planned.annotations))
    found = PlanAnswer(
        annotations=planned.annotations,
        created_evals=tuple(planned.created) or None,
        diff=diff,
        failed_tg_allocs=planned.failed or None,
        index=index,
        job_modify_index=index,
        next_periodic_launch=to_rfc3339(launch) if launch else None,
        warnings=ready.warning_text,
    )
    return answered(found, index)
