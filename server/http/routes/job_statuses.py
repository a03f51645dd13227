"""/v1/jobs/statuses: jobs with what a page about many of them shows (spec cluster §10)."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, JOBS
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import Record
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.job import SYSBATCH, SYSTEM, Job
from yurt.server.http.context import Context, ReadOptions
from yurt.server.http.pages import page
from yurt.server.http.reads import Found


class JobName(Record, frozen=True):
    """A job by its ID."""

    id: str = ""
    namespace: str = ""


class StatusesRequest(Record, frozen=True):
    """POST /v1/jobs/statuses: only these jobs."""

    jobs: tuple[JobName, ...] | None = None
    include_children: bool = False


def statuses(view: View, context: Context, options: ReadOptions) -> Found:
    """GET or POST /v1/jobs/statuses."""
    given = StatusesRequest()
    if context.method == "POST" and context.body:
        given = msgspec.convert(decode_body(context.body, StatusesRequest), StatusesRequest)
        if not given.jobs:
            raise Refusal(400, "no jobs in request")
    with_children = given.include_children or _flag(context)
    if given.jobs:
        spaces = (context.namespace if context.namespace != "*" else "default",)
        keys = [(one.namespace or spaces[0], one.id) for one in given.jobs]
        found = [job for key in keys if (job := view.get(JOBS, key)) is not None and _allowed(context, key[0])]
    else:
        found = [job for job in view.scan(JOBS) if context.sees(job.namespace)]
        found = [job for job in found if with_children or not job.parent_id]
    found.sort(key=lambda job: (job.modify_index, job.namespace, job.id), reverse=options.reverse)
    rows, token = page(found, options, lambda job: str(job.modify_index), order=_number)
    index, shown = 0, []
    for job in rows:
        one, newest = _shown(view, job, with_children=with_children)
        index = max(index, newest)
        shown.append(one)
    watch = ((JOBS, None), (ALLOCATIONS, None), (DEPLOYMENTS, None))
    return Found(orjson.dumps(shown), index, watch, next_token=token)


def _allowed(context: Context, namespace: str) -> bool:
    return context.identity.rights.in_namespace(namespace, "read-job")


def _flag(context: Context) -> bool:
    try:
        return context.flag("include_children")
    except Refusal as refusal:
        raise Refusal(400, refusal.text) from None


def _number(token: str) -> tuple[bool, int, str]:
    """Tokens are indexes here; what is none comes after them all."""
    return (False, int(token), "") if token.isascii() and token.isdigit() else (True, 0, token)


def _shown(view: View, job: Job, *, with_children: bool) -> tuple[dict[str, Any], int]:
    """A job, and the newest index of what is shown of it."""
    key = (job.namespace, job.id)
    allocations = view.find(ALLOCATIONS, "job", key)
    deployments = view.find(DEPLOYMENTS, "job", key)
    latest = max(deployments, key=lambda one: one.create_index, default=None)
    children = view.find(JOBS, "parent", key) if job.is_parent else []
    index = max(
        job.modify_index,
        *(one.modify_index for one in allocations),
        latest.modify_index if latest is not None else 0,
        *(one.modify_index for one in children),
        0,
    )
    counted = 0 if job.type in (SYSTEM, SYSBATCH) else sum(group.count for group in job.task_groups or ())
    shown = {
        "Allocs": [_allocation(one) for one in allocations],
        "ChildStatuses": [one.status for one in children] if job.is_parent else None,
        "Datacenters": job.datacenters,
        "GroupCountSum": counted,
        "ID": job.id,
        "IsPack": "pack.name" in (job.meta or {}),
        "LatestDeployment": _deployment(latest) if latest is not None else None,
        "ModifyIndex": job.modify_index,
        "Name": job.name,
        "Namespace": job.namespace,
        "NodePool": job.node_pool,
        "ParentID": job.parent_id,
        "Priority": job.priority,
        "Status": job.status,
        "Stop": job.stop,
        "SubmitTime": job.submit_time,
        "Type": job.type,
        "Version": job.version,
    }
    return shown, index


def _allocation(one: Allocation) -> dict[str, Any]:
    health = one.deployment_status
    return {
        "ClientStatus": one.client_status,
        "DeploymentStatus": {
            "Canary": health.canary if health is not None else False,
            "Healthy": health.healthy if health is not None else None,
        },
        "FollowupEvalID": one.followup_eval_id,
        "Group": one.task_group,
        "HasPausedTask": False,
        "ID": one.id,
        "JobVersion": one.job.version if one.job is not None else 0,
        "NodeID": one.node_id,
    }


def _deployment(one: Deployment) -> dict[str, Any]:
    groups = list((one.task_groups or {}).values())
    canaries = [group for group in groups if group.desired_canaries]
    return {
        "AllAutoPromote": bool(canaries) and all(group.auto_promote for group in canaries),
        "ID": one.id,
        "IsActive": one.is_active,
        "JobVersion": one.job_version,
        "RequiresPromotion": any(not group.promoted for group in canaries),
        "Status": one.status,
        "StatusDescription": one.status_description,
    }
