"""Roles, and honest answers where logging in by another provider is asked for (spec acl §6, §8)."""

from __future__ import annotations

import re

import msgspec
import orjson

from yurt.fsm.commands_acl import DeleteRoles, UpsertRoles
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.job.multierror import multierror
from yurt.fsm.store.schema import ACL_ROLES
from yurt.fsm.store.view import View
from yurt.fsm.structs.acl import AclRole, PolicyLink
from yurt.fsm.structs.base import Record, to_json
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, index_header, json_answer
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, stored
from yurt.server.http.routes.acl_policies import check_enabled
from yurt.server.http.routes.lookup import missing

_NAME = re.compile(r"[a-zA-Z0-9-]{1,128}\Z")
DESCRIPTION_MAX = 256
NOT_FOUND = "ACL role not found"
NO_PROVIDERS = "Yurt knows no auth methods: make tokens with PUT /v1/acl/token"


class RoleRequest(Record, frozen=True):
    """PUT /v1/acl/role and /v1/acl/role/:id."""

    id: str = ""
    name: str = ""
    description: str = ""
    policies: tuple[PolicyLink, ...] | None = None


class LoginRequest(Record, frozen=True):
    """PUT /v1/acl/login and /v1/acl/oidc/auth-url."""

    auth_method_name: str = ""
    login_token: str = ""


def _is_visible(context: Context, role_id: str) -> bool:
    token = context.identity.token
    return context.identity.rights.is_management or (token is not None and role_id in (token.role_ids or ()))


def list_roles(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/acl/roles: all for management, else the token's own."""
    check_enabled(context)
    roles = view.scan(ACL_ROLES, prefix=options.prefix or None)
    rows = (row if _is_visible(context, row.id) else None for row in roles)
    form, watch = stored(context, ACL_ROLES), ((ACL_ROLES, None),)
    return Listing(rows, form, view.table_index(ACL_ROLES), watch, options, lambda row: row.id)


def read_role(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/acl/role/:id."""
    check_enabled(context)
    role_id = context.arguments[0]
    if not role_id:
        raise Refusal(400, "missing ACL role ID")
    if "/" in role_id:
        raise Refusal(400, "invalid URI")
    return _found(view, context, view.get(ACL_ROLES, role_id) if _is_visible(context, role_id) else None)


def read_role_by_name(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/acl/role/name/:name."""
    check_enabled(context)
    name = context.arguments[0]
    if not name:
        raise Refusal(400, "missing ACL role name")
    rows = [one for one in view.find(ACL_ROLES, "name", name) if _is_visible(context, one.id)]
    return _found(view, context, rows[0] if rows else None)


def _found(view: View, context: Context, row: AclRole | None) -> Found:
    if row is None:
        if not context.identity.rights.is_management:
            raise denied()
        return missing(NOT_FOUND, view.table_index(ACL_ROLES), (ACL_ROLES, None))
    return Found(context.server.machine.store.encoded(ACL_ROLES, row), row.modify_index, ((ACL_ROLES, row.id),))


async def write_role(context: Context) -> Answer:
    """PUT /v1/acl/role: makes one, or changes the one whose ID is given."""
    check_enabled(context)
    given = msgspec.convert(decode_body(context.body, RoleRequest), RoleRequest)
    if context.arguments and given.id != context.arguments[0]:
        raise Refusal(400, "ACL role ID does not match request path")
    server = context.server
    if given.id and server.view().get(ACL_ROLES, given.id) is None:
        raise Refusal(400, f"cannot find role {given.id}")
    errors = [] if _NAME.match(given.name) else [f"invalid name '{given.name}'"]
    if len(given.description) > DESCRIPTION_MAX:
        errors.append(f"description longer than {DESCRIPTION_MAX}")
    if not given.policies:
        errors.append("at least one policy should be specified")
    if errors:
        raise Refusal(400, f"role 0 invalid: {multierror(errors)}")
    role = AclRole(
        id=given.id or server.new_id(),
        name=given.name,
        description=given.description,
        policies=tuple(dict.fromkeys(given.policies or ())),
    )
    result = await server.propose(UpsertRoles(now_ns=server.now_ns(), roles=(role,)))
    row = server.view().get(ACL_ROLES, role.id) or role
    return json_answer(to_json(row), index_header(result.index))


async def delete_role(context: Context) -> Answer:
    """DELETE /v1/acl/role/:id."""
    check_enabled(context)
    server = context.server
    result = await server.propose(DeleteRoles(now_ns=server.now_ns(), ids=(context.arguments[0],)))
    return Answer(200, b"", (index_header(result.index),))


# --- providers: there are none


def no_methods(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/acl/auth-methods and /v1/acl/binding-rules: there are none."""
    check_enabled(context)
    return Found(b"[]", 1, ())


async def no_method(context: Context) -> Answer:
    """A single auth method or binding rule, or a write of one."""
    check_enabled(context)
    raise Refusal(501, NO_PROVIDERS)


async def login(context: Context) -> Answer:
    """PUT /v1/acl/login."""
    return _refuse_login(context, "login")


async def auth_url(context: Context) -> Answer:
    """PUT /v1/acl/oidc/auth-url."""
    return _refuse_login(context, "OIDC auth-url")


def _refuse_login(context: Context, what: str) -> Answer:
    check_enabled(context)
    given = msgspec.convert(decode_body(context.body, LoginRequest), LoginRequest)
    errors = [] if given.auth_method_name else ["missing auth method name"]
    if what == "login" and not given.login_token:
        errors.append("missing login token")
    if errors:
        raise Refusal(400, f"invalid {what} request: {multierror(errors)}")
    raise Refusal(400, f"auth-method {orjson.dumps(given.auth_method_name).decode()} not found")
