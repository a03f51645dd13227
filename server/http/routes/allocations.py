"""Allocations: lists, whole ones, stopping one (spec cluster §4, scheduling §17)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yurt.fsm.commands_nodes import TransitionAllocations
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOBS
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import AllocatedResources, Allocation, DesiredTransition
from yurt.fsm.structs.base import Record, replace, to_json
from yurt.fsm.structs.evaluation import pending_evaluation
from yurt.fsm.structs.resources import Resources
from yurt.server.http.asgi.answers import answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Form, Listing, stored
from yurt.server.http.routes.lookup import check_uuid, list_by_creation, missing

LOOKUP = "alloc lookup failed: "
_SUMMED = ("cpu", "cores", "memory_mb", "memory_max_mb")
_NONE = Resources(cpu=0, memory_mb=0)


class AllocationShown(Allocation, frozen=True):
    """An allocation with its resources also in the form that older clients read."""

    resources: Resources | None = None
    shared_resources: Resources | None = None
    task_resources: dict[str, Resources] | None = None


class StopAnswer(Record, frozen=True):
    """The evaluation that replaces a stopped allocation."""

    eval_id: str
    index: int


def stub_json(allocation: Allocation) -> bytes:
    """The encoded stub."""
    return to_json(allocation.stub())


def full_json(allocation: Allocation) -> bytes:
    """The whole allocation, with its resources also in the form that older clients read."""
    body = to_json(allocation)
    resources = allocation.allocated_resources
    if resources is None:
        return body
    return body[:-1] + b"," + to_json(_older_form(resources))[1:]


def _older_form(resources: AllocatedResources) -> AllocationShown:
    """Nothing but the resources."""
    shared = replace(_NONE, disk_mb=resources.shared.disk_mb, networks=resources.shared.networks)
    tasks = {
        name: replace(
            _NONE,
            cpu=task.cpu.cpu_shares,
            cores=len(task.cpu.reserved_cores or ()),
            memory_mb=task.memory.memory_mb,
            memory_max_mb=task.memory.memory_max_mb,
            networks=task.networks,
        )
        for name, task in (resources.tasks or {}).items()
    }
    whole = replace(shared, **{name: sum(getattr(one, name) for one in tasks.values()) for name in _SUMMED})
    return AllocationShown(resources=whole, shared_resources=shared, task_resources=tasks)


def stub_form(context: Context) -> Form:
    """How an allocation stands in a list, as `resources` and `task_states` want it."""
    resources = context.flag("resources")
    states = context.query.get("task_states", "") == "" or context.flag("task_states")
    if states and not resources:
        return stored(context, ALLOCATIONS, stub_json)

    def form(row: Allocation) -> bytes:
        stub = row.stub() if states else replace(row.stub(), task_states=None)
        return to_json(replace(stub, allocated_resources=row.allocated_resources) if resources else stub)

    return form


def _stubs(view: View, context: Context, rows: Iterator[Allocation | None]) -> Listing:
    """A list of stubs that is not cut into pages."""
    index, watch = view.table_index(ALLOCATIONS), ((ALLOCATIONS, None),)
    return Listing(rows, stub_form(context), index, watch)


def list_allocations(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/allocations."""
    return list_by_creation(view, context, options, ALLOCATIONS, LOOKUP, stub_form(context))


def read_allocation(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/allocation/:id."""
    alloc_id = context.arguments[0]
    check_uuid(alloc_id, LOOKUP)
    row = view.get(ALLOCATIONS, alloc_id)
    if row is None:
        return missing("alloc not found", view.table_index(ALLOCATIONS), (ALLOCATIONS, alloc_id))
    if not context.identity.rights.in_namespace(row.namespace, "read-job"):
        raise Refusal(500, f'Unknown allocation "{alloc_id}"')
    body = context.server.machine.store.encoded(ALLOCATIONS, row, full_json)
    return Found(body, row.modify_index, ((ALLOCATIONS, alloc_id),))


def evaluation_allocations(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/evaluation/:id/allocations."""
    rows = _of_object(context, view.get(EVALUATIONS, context.arguments[0]), view, "eval")
    return _stubs(view, context, rows)


def deployment_allocations(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/deployment/allocations/:id."""
    rows = _of_object(context, view.get(DEPLOYMENTS, context.arguments[0]), view, "deployment")
    return _stubs(view, context, rows)


def _of_object(context: Context, owner: Any, view: View, index: str) -> Iterator[Allocation | None]:
    """The allocations of an evaluation or a deployment, whose namespace decides."""
    context.allow(owner.namespace if owner is not None else context.namespace)
    may, any_of = context.identity.rights.in_namespace, context.need.any_of
    rows = view.each(ALLOCATIONS, index, context.arguments[0])
    return (row if row is not None and may(row.namespace, *any_of) else None for row in rows)


def job_allocations(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/job/:id/allocations: those of the present job of that name, with `all=true` of earlier ones too."""
    key = (context.namespace, context.arguments[0])
    rows = view.each(ALLOCATIONS, "job", key)
    job = view.get(JOBS, key)
    if job is not None and context.query.get("all") != "true":
        created = job.create_index
        rows = (
            row if row is not None and (row.job is None or row.job.create_index == created) else None for row in rows
        )
    return _stubs(view, context, rows)


async def stop(context: Context) -> Answer:
    """PUT /v1/allocation/:id/stop: it ends and is replaced."""
    alloc_id = context.arguments[0]
    check_uuid(alloc_id, LOOKUP)
    no_delay, reschedule = context.flag("no_shutdown_delay"), context.flag("reschedule")
    server = context.server
    allocation = server.view().get(ALLOCATIONS, alloc_id)
    if allocation is None:
        raise Refusal(404, "allocation not found")
    context.allow(allocation.namespace)
    job = server.view().get(JOBS, (allocation.namespace, allocation.job_id)) or allocation.job
    assert job is not None
    evaluation = pending_evaluation(job, server.new_id(), "alloc-stop")
    marks = DesiredTransition(migrate=True, no_shutdown_delay=no_delay, reschedule=reschedule)
    command = TransitionAllocations(now_ns=server.now_ns(), transitions={alloc_id: marks}, evaluations=(evaluation,))
    result = await server.propose(command)
    return answered(StopAnswer(eval_id=evaluation.id, index=result.index), result.index)
