"""Evaluations, allocations and deployments as lists and single objects (spec cluster §4–§6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, Table
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import replace, to_json
from yurt.server.http.context import Context, ReadOptions
from yurt.server.http.pages import join, page
from yurt.server.http.reads import Found
from yurt.server.http.routes.jobs_read import alloc_stub, missing

_HEX = frozenset("0123456789abcdefABCDEF")
UUID_LENGTH = 36


def _by_creation(row: Any) -> tuple[int, str]:
    return (row.create_index, row.id)


def _rows(view: View, context: Context, options: ReadOptions, table: Table[str, Any], what: str) -> Iterable[Any]:
    """The rows of the namespace, by creation or, with a prefix, by ID."""
    namespace, prefix = context.namespace, options.prefix
    if prefix:
        check_prefix(prefix, what)
        found = view.scan(table, prefix=prefix, reverse=options.reverse)
        return (row for row in found if namespace in ("*", row.namespace))
    ordered = view.scan(table, order="created", reverse=options.reverse)
    return (row for row in ordered if namespace in ("*", row.namespace))


def check_prefix(prefix: str, what: str) -> None:
    """Refuse what cannot begin a UUID (spec cluster §0.2)."""
    digits = prefix.replace("-", "")
    for character in digits:
        if character not in _HEX:
            code = f"U+{ord(character):04X} '{character}'"
            raise Refusal(500, f"{what}index error: Invalid UUID: encoding/hex: invalid byte: {code}")
    if len(digits) % 2:
        raise Refusal(500, f"{what}index error: Input (without hyphens) must be even length")


def check_uuid(identifier: str, what: str) -> None:
    """Refuse what is no UUID."""
    if len(identifier) != UUID_LENGTH:
        raise Refusal(500, f"{what}index error: UUID must be 36 characters")


def _token(options: ReadOptions) -> Callable[[Any], str]:
    if options.prefix:
        return lambda row: str(row.id)
    return lambda row: f"{row.create_index}.{row.id}"


def list_evaluations(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/evaluations."""
    status, job = context.query.get("status", ""), context.query.get("job", "")
    if options.filter and (status or job):
        raise Refusal(400, "Filter expression cannot be used with other filter parameters")
    rows = _rows(view, context, options, EVALUATIONS, "eval lookup failed: ")
    if status or job:
        rows = (row for row in rows if status in ("", row.status) and job in ("", row.job_id))
    found, token = _page(rows, options)
    store = context.server.machine.store
    body = join(store.encoded(EVALUATIONS, row) for row in found)
    return Found(body, view.table_index(EVALUATIONS), ((EVALUATIONS, None),), next_token=token)


def _page(rows: Iterable[Any], options: ReadOptions) -> tuple[list[Any], str]:
    """A page whose token is compared by creation index first."""
    token = options.next_token
    if token and not options.prefix and "." in token:
        index, _, identifier = token.partition(".")
        if index.isdigit():
            start = (int(index), identifier)
            kept = (r for r in rows if (_by_creation(r) <= start if options.reverse else _by_creation(r) >= start))
            bare = _without_token(options)
            return page(kept, bare, _token(options))
    return page(rows, options, _token(options))


def _without_token(options: ReadOptions) -> ReadOptions:
    bare = ReadOptions.__new__(ReadOptions)
    for name in ReadOptions.__slots__:
        setattr(bare, name, getattr(options, name))
    bare.next_token = ""
    return bare


def read_evaluation(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/evaluation/:id."""
    eval_id = context.arguments[0]
    check_uuid(eval_id, "failed to lookup eval: eval lookup failed: ")
    row = view.get(EVALUATIONS, eval_id)
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


def count_evaluations(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/evaluations/count."""
    rows, _ = page(_rows(view, context, options, EVALUATIONS, "eval lookup failed: "), options, _token(options))
    index = view.table_index(EVALUATIONS)
    body = {"Count": len(rows), "Index": index, "KnownLeader": True, "LastContact": 0, "NextToken": ""}
    return Found(orjson.dumps(body), index, ((EVALUATIONS, None),))


def evaluation_allocations(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/evaluation/:id/allocations."""
    rows = view.find(ALLOCATIONS, "eval", context.arguments[0])
    return Found(join(to_json(alloc_stub(one)) for one in rows), view.table_index(ALLOCATIONS), ((ALLOCATIONS, None),))


def list_allocations(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/allocations."""
    rows, token = _page(_rows(view, context, options, ALLOCATIONS, "alloc lookup failed: "), options)
    body = join(to_json(alloc_stub(one)) for one in rows)
    return Found(body, view.table_index(ALLOCATIONS), ((ALLOCATIONS, None),), next_token=token)


def read_allocation(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/allocation/:id."""
    alloc_id = context.arguments[0]
    check_uuid(alloc_id, "alloc lookup failed: ")
    row = view.get(ALLOCATIONS, alloc_id)
    if row is None:
        return missing("alloc not found", view.table_index(ALLOCATIONS), (ALLOCATIONS, alloc_id))
    return Found(context.server.machine.store.encoded(ALLOCATIONS, row), row.modify_index, ((ALLOCATIONS, alloc_id),))


def list_deployments(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/deployments."""
    rows, token = _page(_rows(view, context, options, DEPLOYMENTS, ""), options)
    store = context.server.machine.store
    body = join(store.encoded(DEPLOYMENTS, row) for row in rows)
    return Found(body, view.table_index(DEPLOYMENTS), ((DEPLOYMENTS, None),), next_token=token)


def read_deployment(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/deployment/:id."""
    identifier = context.arguments[0]
    check_uuid(identifier, "deployment lookup failed: ")
    row = view.get(DEPLOYMENTS, identifier)
    if row is None:
        return missing("deployment not found", view.table_index(DEPLOYMENTS), (DEPLOYMENTS, identifier))
    return Found(context.server.machine.store.encoded(DEPLOYMENTS, row), row.modify_index, ((DEPLOYMENTS, identifier),))


def deployment_allocations(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/deployment/allocations/:id."""
    rows = view.find(ALLOCATIONS, "deployment", context.arguments[0])
    return Found(join(to_json(alloc_stub(one)) for one in rows), view.table_index(ALLOCATIONS), ((ALLOCATIONS, None),))
