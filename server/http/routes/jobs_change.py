"""Scaling, tagging, dispatching, launching and planning jobs (spec jobs-api §3.10, §3.14–§3.16, §3.20)."""

from __future__ import annotations

import base64
import time
from functools import partial
from typing import Any

import orjson

from yurt.fsm.commands import ChildMade, DispatchJob, LaunchPeriodicJob, ScaleJob, TagJobVersion, UntagJobVersion
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.requests import DispatchRequest, JobPlanRequest, ScaleRequest, TagRequest, decode_request
from yurt.fsm.job.rules import check_dispatch, check_launch, check_scale
from yurt.fsm.job.validate.periodic import next_time
from yurt.fsm.store.schema import ALLOCATIONS, JOBS, NODES
from yurt.fsm.structs.base import to_builtins
from yurt.fsm.structs.times import to_rfc3339
from yurt.scheduler.annotate import plan_job
from yurt.server.http.context import Answer, Context, index_header, json_answer
from yurt.server.http.routes.job_diffs import encoded_plan
from yurt.server.http.routes.jobs_write import admitted, answer, check_region, check_registration, written

PLANNED_AT_ONCE = 512  # nodes and allocations that a plan looks at within some 5 ms


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
    return answer(written(result, known_leader=True), result.index)


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
    made = {
        "DispatchedJobID": result.child_id,
        "EvalCreateIndex": result.eval_create_index,
        "EvalID": result.eval_id,
        "Index": result.index,
        "JobCreateIndex": result.job_create_index,
    }
    return answer(made, result.index)


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
    made = {"EvalCreateIndex": result.eval_create_index, "EvalID": result.eval_id, "Index": result.index}
    return answer(made, result.index)


async def tag(context: Context) -> Answer:
    """POST /v1/job/:id/versions/:tag/tag."""
    job_id, name = context.arguments
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
    return json_answer(orjson.dumps(_tagged(result.name, result.description, result.tagged_time, result.index)))


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
    return json_answer(orjson.dumps(_tagged("", "", 0, result.index)))


def _tagged(name: str, description: str, time_ns: int, index: int) -> dict[str, Any]:
    return {
        "Name": name,
        "Description": description,
        "TaggedTime": time_ns,
        "Index": index,
        "KnownLeader": False,
        "LastContact": 0,
        "NextToken": "",
    }


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
    planned = work() if is_small else await server.background.run(work)
    planned = planned.timed(time.perf_counter_ns() - started)
    index = stored.job_modify_index if stored else 0
    periodic = ready.job.periodic
    launch = next_time(periodic, server.now_ns(), server.limits.zones) if periodic is not None else None
    diff = None
    if body.get("Diff"):
        stored_bytes = len(server.machine.store.encoded(JOBS, stored)) if stored else 0
        diff = orjson.Fragment(await encoded_plan(context, stored, stored_bytes, ready.job, planned.annotations))
    found = {
        "Annotations": to_builtins(planned.annotations),
        "CreatedEvals": to_builtins(planned.created) or None,
        "Diff": diff,
        "FailedTGAllocs": to_builtins(planned.failed) or None,
        "Index": index,
        "JobModifyIndex": index,
        "NextPeriodicLaunch": to_rfc3339(launch) if launch else None,
        "Warnings": ready.warning_text,
    }
    return json_answer(orjson.dumps(found), index_header(index))
