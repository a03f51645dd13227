"""Policies (spec acl §3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from yurt.fsm.commands_acl import DeletePolicies, UpsertPolicies
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.multierror import multierror
from yurt.fsm.store.schema import ACL_POLICIES
from yurt.fsm.store.view import View
from yurt.fsm.structs.acl import ANONYMOUS, AclPolicy, JobAcl, PolicyRules
from yurt.fsm.structs.base import Record, to_json
from yurt.server.acl.authority import denied, policy_names
from yurt.server.acl.policy_text import RulesError, parse_rules
from yurt.server.http.asgi.context import PLAIN, Answer, Context, ReadOptions, index_header
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, stored
from yurt.server.http.routes.lookup import missing

_NAME = re.compile(r"[a-zA-Z0-9-]{1,128}\Z")
DESCRIPTION_MAX = 256
NOT_FOUND = "ACL policy not found"


class PolicyRequest(Record, frozen=True):
    """PUT /v1/acl/policy/:name."""

    name: str = ""
    description: str = ""
    rules: str = ""
    job_acl: JobAcl | None = msgspec.field(default=None, name="JobACL")


def check_enabled(context: Context) -> None:
    """Refuse while access control is off."""
    if not context.server.authority.enabled:
        raise Refusal(400, "ACL support disabled")


def stub_json(policy: AclPolicy) -> bytes:
    """The encoded stub."""
    return to_json(policy.stub())


def _own(view: View, context: Context) -> set[str]:
    token = context.identity.token
    return set(policy_names(view, token)) if token is not None else set()


def list_policies(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/acl/policies: all for management, else the token's own."""
    check_enabled(context)
    rows: Iterator[Any] = view.scan(ACL_POLICIES, prefix=options.prefix or None)
    if not context.identity.rights.is_management:
        rows = _only(rows, _own(view, context))
    return _stubs(view, context, rows, options)


def _only(rows: Iterator[AclPolicy], names: set[str]) -> Iterator[AclPolicy | None]:
    return (row if row.name in names else None for row in rows)


def _stubs(view: View, context: Context, rows: Iterator[Any], options: ReadOptions = PLAIN) -> Listing:
    form, watch = stored(context, ACL_POLICIES, stub_json), ((ACL_POLICIES, None),)
    return Listing(rows, form, view.table_index(ACL_POLICIES), watch, options, lambda row: row.name)


def own_policies(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/acl/policy/self: stubs of the token's own policies."""
    check_enabled(context)
    if context.identity.is_anonymous:
        raise denied()
    return _stubs(view, context, _only(view.scan(ACL_POLICIES), _own(view, context)))


def read_policy(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/acl/policy/:name."""
    check_enabled(context)
    name = context.arguments[0]
    if not name:
        raise Refusal(400, "Missing Policy Name")
    if not context.identity.rights.is_management and name != ANONYMOUS and name not in _own(view, context):
        raise denied()
    row = view.get(ACL_POLICIES, name)
    if row is None:
        return missing(NOT_FOUND, view.table_index(ACL_POLICIES), (ACL_POLICIES, name))
    body = context.server.machine.store.encoded(ACL_POLICIES, row)
    return Found(body, row.modify_index, ((ACL_POLICIES, name),))


async def write_policy(context: Context) -> Answer:
    """PUT /v1/acl/policy/:name: makes or replaces it."""
    check_enabled(context)
    given = msgspec.convert(decode_body(context.body, PolicyRequest), PolicyRequest)
    if given.name != context.arguments[0]:
        raise Refusal(400, "ACL policy name does not match request path")
    errors = [] if _NAME.match(given.name) else [f"invalid name '{given.name}'"]
    rules = PolicyRules()
    try:
        rules = parse_rules(given.rules)
    except RulesError as error:
        errors.append(f"failed to parse rules: {error}")
    if len(given.description) > DESCRIPTION_MAX:
        errors.append(f"description longer than {DESCRIPTION_MAX}")
    errors += _wrong_links(given.job_acl)
    if errors:
        raise Refusal(400, f"policy 0 invalid: {multierror(errors)}")
    policy = AclPolicy(
        name=given.name, description=given.description, rules=given.rules, rules_json=rules, job_acl=given.job_acl
    )
    server = context.server
    result = await server.propose(UpsertPolicies(now_ns=server.now_ns(), policies=(policy,)))
    return Answer(200, b"", (index_header(result.index),))


def _wrong_links(link: JobAcl | None) -> list[str]:
    """Return the errors in the workload that a policy is linked to: each part needs the one before it."""
    if link is None:
        return []
    parts = (("namespace", link.namespace), ("job ID", link.job_id), ("group", link.group), ("task", link.task))
    steps = pairwise(parts)
    return [f"{before} must be set to set {name}" for (before, first), (name, then) in steps if then and not first]


async def delete_policy(context: Context) -> Answer:
    """DELETE /v1/acl/policy/:name."""
    check_enabled(context)
    server = context.server
    result = await server.propose(DeletePolicies(now_ns=server.now_ns(), names=(context.arguments[0],)))
    return Answer(200, b"", (index_header(result.index),))
