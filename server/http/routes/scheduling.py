"""Evaluations as lists and single objects, and their deletion (spec cluster §5)."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.commands import CollectGarbage
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.lang.filter import FilterError, compile_filter
from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS, SCHEDULER_CONFIG
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, replace, to_json
from yurt.fsm.structs.evaluation import Evaluation
from yurt.server.http.asgi.answers import CountAnswer, answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, stored
from yurt.server.http.routes.lookup import check_uuid, list_by_creation, missing
from yurt.server.platform.turns import Steps

LIST_LOOKUP, LOOKUP = "eval lookup failed: ", "failed to lookup eval: eval lookup failed: "
DELETED_MAX = 7281


class DeleteRequest(Record, frozen=True):
    """DELETE /v1/evaluations: by IDs or by filter."""

    eval_ids: tuple[str, ...] | None = None
    filter: str = ""


class EvaluationCount(CountAnswer, frozen=True):
    """How many evaluations there are."""

    known_leader: bool = True
    last_contact: int = 0
    next_token: str = ""


def list_evaluations(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/evaluations."""
    status, job = context.query.get("status", ""), context.query.get("job", "")
    if options.filter and (status or job):
        raise Refusal(400, "Filter expression cannot be used with other filter parameters")

    def belongs(row: Evaluation) -> bool:
        return status in ("", row.status) and job in ("", row.job_id)

    form = stored(context, EVALUATIONS)
    return list_by_creation(view, context, options, EVALUATIONS, LIST_LOOKUP, form, belongs if status or job else None)


def read_evaluation(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/evaluation/:id."""
    eval_id = context.arguments[0]
    check_uuid(eval_id, LOOKUP)
    row = view.get(EVALUATIONS, eval_id)
    context.allow(row.namespace if row is not None else context.namespace)
    if row is None:
        return missing("eval not found", view.table_index(EVALUATIONS), (EVALUATIONS, eval_id))
    body = context.server.machine.store.encoded(EVALUATIONS, row)
    if context.flag("related") and (related := _related(view, row)):
        body = to_json(replace(row, related_evals=tuple(one.stub() for one in related)))
    return Found(body, row.modify_index, ((EVALUATIONS, eval_id),))


def _related(view: View, row: Any) -> list[Any]:
    """Evaluations reachable over next, previous and blocked."""
    seen: dict[str, Any] = {row.id: None}
    todo = [row.next_eval, row.previous_eval, row.blocked_eval]
    while todo:
        identifier = todo.pop(0)
        if not identifier or identifier in seen:
            continue
        seen[identifier] = found = view.get(EVALUATIONS, identifier)
        if found is not None:
            todo += [found.next_eval, found.previous_eval, found.blocked_eval]
    return [one for one in seen.values() if one is not None]


def count_evaluations(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/evaluations/count."""
    listing = list_by_creation(view, context, options, EVALUATIONS, LIST_LOOKUP, to_json)
    rows, _ = yield from listing.choose()
    body = to_json(EvaluationCount(count=len(rows), index=listing.index))
    return Found(body, listing.index, listing.watch)


async def delete_evaluations(context: Context) -> Answer:
    """DELETE /v1/evaluations: only while the broker is paused, and only what has ended and is not needed."""
    given = msgspec.convert(decode_body(context.body, DeleteRequest), DeleteRequest)
    ids = given.eval_ids or ()
    if not ids and not given.filter:
        raise Refusal(400, "evals must be deleted by either ID or filter")
    if ids and given.filter:
        raise Refusal(400, "evals cannot be deleted by both ID and filter")
    if len(ids) > DELETED_MAX:
        raise Refusal(400, f"request includes {len(ids)} evaluation IDs, must be {DELETED_MAX} or fewer")
    server = context.server
    view = server.view()
    configuration = view.get(SCHEDULER_CONFIG, "")
    if configuration is None or not configuration.pause_eval_broker:
        raise Refusal(500, "eval broker is enabled; eval broker must be paused to delete evals")
    chosen = await server.turns.over(view, _deletable(view, context.namespace, given), context.client)
    if not chosen:
        return answered(CountAnswer(count=0, index=0), 0)
    command = CollectGarbage(now_ns=server.now_ns(), evaluation_ids=tuple(one.id for one in chosen))
    result = await server.propose(command)
    return answered(CountAnswer(count=len(chosen), index=result.index), result.index)


def _deletable(view: View, namespace: str, given: DeleteRequest) -> Steps[list[Evaluation]]:
    """The evaluations that a request names; raises Refusal(500) if one of them is needed."""
    chosen = (
        yield from _by_filter(view, namespace, given.filter) if given.filter else _by_id(view, given.eval_ids or ())
    )
    for evaluation in chosen:
        if not evaluation.is_terminal:
            raise Refusal(500, f"eval {evaluation.id} is not safe to delete")
        for allocation in view.each(ALLOCATIONS, "eval", evaluation.id):
            if allocation is not None and not allocation.is_terminal:
                raise Refusal(500, f"eval {evaluation.id} is not safe to delete")
            yield
        yield
    return chosen


def _by_id(view: View, ids: tuple[str, ...]) -> Steps[list[Evaluation]]:
    found = []
    for eval_id in ids:
        check_uuid(eval_id, LOOKUP)
        evaluation = view.get(EVALUATIONS, eval_id)
        if evaluation is None:
            raise Refusal(500, "eval not found")
        found.append(evaluation)
        yield
    return found


def _by_filter(view: View, namespace: str, expression: str) -> Steps[list[Evaluation]]:
    found: list[Evaluation] = []
    try:
        wanted = compile_filter(expression)
        for row in view.scan(EVALUATIONS):
            if namespace in ("*", row.namespace) and wanted.matches(row) and len(found) < DELETED_MAX:
                found.append(row)
            yield
    except FilterError as error:
        raise Refusal(500, str(error)) from None
    return found
