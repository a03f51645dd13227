"""Deployments: lists, single ones, and what users do with them (spec cluster §6, scheduling §8.6)."""

from __future__ import annotations

import msgspec

from yurt.fsm.apply.deployments import BY_USER
from yurt.fsm.commands_nodes import (
    DeploymentWritten,
    FailDeployment,
    PauseDeployment,
    PromoteDeployment,
    SetAllocationHealth,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.store.schema import DEPLOYMENTS
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record
from yurt.server.http.asgi.answers import answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, stored
from yurt.server.http.routes.lookup import check_uuid, list_by_creation, missing

LOOKUP = "deployment lookup failed: "


class DeploymentRequest(Record, frozen=True):
    """Any write to /v1/deployment/VERB/:id; each verb reads its own members."""

    deployment_id: str = ""
    all: bool = False
    groups: tuple[str, ...] | None = None
    pause: bool = False
    healthy_allocation_ids: tuple[str, ...] | None = msgspec.field(default=None, name="HealthyAllocationIDs")
    unhealthy_allocation_ids: tuple[str, ...] | None = msgspec.field(default=None, name="UnhealthyAllocationIDs")


class DeploymentAnswer(Record, frozen=True):
    """The result of a write to a deployment."""

    deployment_modify_index: int
    eval_create_index: int
    eval_id: str
    index: int
    reverted_job_version: int | None


def list_deployments(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/deployments."""
    return list_by_creation(view, context, options, DEPLOYMENTS, "", stored(context, DEPLOYMENTS))


def read_deployment(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/deployment/:id."""
    identifier = context.arguments[0]
    check_uuid(identifier, LOOKUP)
    row = view.get(DEPLOYMENTS, identifier)
    context.allow(row.namespace if row is not None else context.namespace)
    if row is None:
        return missing("deployment not found", view.table_index(DEPLOYMENTS), (DEPLOYMENTS, identifier))
    return Found(context.server.machine.store.encoded(DEPLOYMENTS, row), row.modify_index, ((DEPLOYMENTS, identifier),))


def _check(context: Context, deployment_id: str) -> None:
    """A deployment that is there must be one that the token may change; raises Refusal(403)."""
    found = context.server.view().get(DEPLOYMENTS, deployment_id)
    if found is not None:
        context.allow(found.namespace)


def _given(context: Context) -> DeploymentRequest:
    """The body, which must name the deployment of the path."""
    given = msgspec.convert(decode_body(context.body, DeploymentRequest), DeploymentRequest)
    if not given.deployment_id:
        raise Refusal(400, "DeploymentID must be specified")
    if given.deployment_id != context.arguments[0]:
        raise Refusal(400, "Deployment ID does not match")
    _check(context, given.deployment_id)
    return given


def _written(result: DeploymentWritten) -> Answer:
    body = DeploymentAnswer(
        deployment_modify_index=result.index,
        eval_create_index=result.index if result.eval_id else 0,
        eval_id=result.eval_id,
        index=result.index,
        reverted_job_version=result.reverted_version,
    )
    return answered(body, result.index)


async def promote(context: Context) -> Answer:
    """PUT /v1/deployment/promote/:id."""
    given, server = _given(context), context.server
    command = PromoteDeployment(
        now_ns=server.now_ns(),
        deployment_id=given.deployment_id,
        all=given.all,
        groups=given.groups or (),
        eval_id=server.new_id(),
    )
    return _written(await server.propose(command))


async def pause(context: Context) -> Answer:
    """PUT /v1/deployment/pause/:id."""
    given, server = _given(context), context.server
    command = PauseDeployment(
        now_ns=server.now_ns(), deployment_id=given.deployment_id, pause=given.pause, eval_id=server.new_id()
    )
    return _written(await server.propose(command))


async def fail(context: Context) -> Answer:
    """PUT /v1/deployment/fail/:id: needs no body."""
    server = context.server
    _check(context, context.arguments[0])
    command = FailDeployment(
        now_ns=server.now_ns(),
        deployment_id=context.arguments[0],
        description=BY_USER,
        eval_id=server.new_id(),
        versions_kept=server.versions_kept,
    )
    return _written(await server.propose(command))


async def unblock(context: Context) -> Answer:
    """PUT /v1/deployment/unblock/:id: in one region nothing is ever blocked."""
    given = _given(context)
    found = context.server.view().get(DEPLOYMENTS, given.deployment_id)
    if found is None:
        raise Refusal(500, "deployment not found")
    if not found.is_active:
        raise Refusal(500, "can't unblock terminal deployment")
    return _written(DeploymentWritten())


async def set_health(context: Context) -> Answer:
    """PUT /v1/deployment/allocation-health/:id."""
    given, server = _given(context), context.server
    command = SetAllocationHealth(
        now_ns=server.now_ns(),
        deployment_id=given.deployment_id,
        healthy=given.healthy_allocation_ids or (),
        unhealthy=given.unhealthy_allocation_ids or (),
        eval_id=server.new_id(),
        versions_kept=server.versions_kept,
    )
    return _written(await server.propose(command))
