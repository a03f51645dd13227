"""Tokens: made, changed, read, exchanged, and the first one of all (spec acl §4, §5, §7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from yurt.fsm.commands_acl import (
    BootstrapAcl,
    DeleteOneTimeTokens,
    DeleteTokens,
    UpsertOneTimeToken,
    UpsertTokens,
)
from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body, load_json
from yurt.fsm.job.multierror import multierror
from yurt.fsm.lang.duration import format_duration, parse_duration
from yurt.fsm.store.schema import ACL_BOOTSTRAP, ACL_ROLES, ACL_TOKENS, ONE_TIME_TOKENS
from yurt.fsm.store.view import View
from yurt.fsm.structs.acl import ANONYMOUS_TOKEN, CLIENT, MANAGEMENT, AclToken, OneTimeToken, RoleLink, TokenShown
from yurt.fsm.structs.base import Record, replace, to_json
from yurt.fsm.structs.times import from_rfc3339, to_rfc3339
from yurt.server.acl.authority import UUID, denied
from yurt.server.config.agent import nanoseconds
from yurt.server.http.asgi.answers import answered
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, index_header
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing
from yurt.server.http.routes.acl_policies import check_enabled
from yurt.server.http.routes.lookup import check_prefix, check_uuid, missing

LOOKUP = "acl token lookup failed: "
NOT_FOUND = "ACL token not found"
NAME_MAX = 256
ONE_TIME_NS = 600_000_000_000
RESET_FILE = "server/acl-bootstrap-reset"


class TokenRequest(Record, frozen=True):
    """PUT /v1/acl/token and /v1/acl/token/:accessor; `ExpirationTTL` is a text or nanoseconds."""

    accessor_id: str = ""
    secret_id: str = ""
    name: str = ""
    type: str = ""
    policies: tuple[str, ...] | None = None
    roles: tuple[RoleLink, ...] | None = None
    global_: bool = msgspec.field(default=False, name="Global")
    expiration_ttl: Any = msgspec.field(default=None, name="ExpirationTTL")
    expiration_time: str | None = None


class ExchangeRequest(Record, frozen=True):
    """PUT /v1/acl/token/onetime/exchange."""

    one_time_secret_id: str = msgspec.field(default="", name="OneTimeSecretID")


class OneTimeShown(Record, frozen=True):
    """A one-time token; `expires_at` is RFC 3339."""

    accessor_id: str
    create_index: int
    expires_at: str
    modify_index: int
    one_time_secret_id: str = msgspec.field(name="OneTimeSecretID")


class OneTimeAnswer(Record, frozen=True):
    """The one-time token that was made."""

    index: int
    one_time_token: OneTimeShown


class ExchangeAnswer(Record, frozen=True):
    """The token that a one-time secret stood for."""

    index: int
    token: TokenShown


# --- reading


def links(view: View, token: AclToken) -> tuple[RoleLink, ...] | None:
    """The token's roles that are there, with their names of now."""
    roles = [view.get(ACL_ROLES, role_id) for role_id in token.role_ids or ()]
    return tuple(RoleLink(id=one.id, name=one.name) for one in roles if one is not None) or None


def list_tokens(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/acl/tokens."""
    check_enabled(context)
    if options.prefix:
        check_prefix(options.prefix, LOOKUP)
    rows = (row.stub(links(view, row)) for row in view.scan(ACL_TOKENS, prefix=options.prefix or None))
    watch = ((ACL_TOKENS, None), (ACL_ROLES, None))
    return Listing(rows, to_json, view.table_index(ACL_TOKENS), watch, options, lambda row: row.accessor_id)


def read_token(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/acl/token/:accessor: management, or one's own."""
    check_enabled(context)
    accessor_id = context.arguments[0]
    if not accessor_id:
        raise Refusal(400, "Missing Token Accessor")
    check_uuid(accessor_id, LOOKUP)
    own = context.identity.token
    if not context.identity.rights.is_management and (own is None or own.accessor_id != accessor_id):
        raise denied()
    row = view.get(ACL_TOKENS, accessor_id)
    if row is None:
        return missing(NOT_FOUND, view.table_index(ACL_TOKENS), (ACL_TOKENS, accessor_id))
    return Found(to_json(row.shown(links(view, row))), row.modify_index, ((ACL_TOKENS, accessor_id),))


def own_token(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/acl/token/self: the token that asks, with its secret."""
    check_enabled(context)
    token = context.identity.token or ANONYMOUS_TOKEN
    watch = ((ACL_TOKENS, token.accessor_id),)
    return Found(to_json(token.shown(links(view, token))), token.modify_index, watch)


# --- writing


async def write_token(context: Context) -> Answer:
    """PUT /v1/acl/token: makes one, or changes the one whose accessor is given."""
    check_enabled(context)
    given = msgspec.convert(decode_body(context.body, TokenRequest), TokenRequest)
    if context.arguments and given.accessor_id != context.arguments[0]:
        raise Refusal(400, "ACL token accessor does not match request path")
    server = context.server
    view, now_ns = server.view(), server.now_ns()
    stored = _stored(view, given)
    token = _token(context, given, stored, now_ns)
    if errors := _errors(context, token, stored, now_ns):
        raise Refusal(400, f"token 0 invalid: {multierror(errors)}")
    token = replace(token, role_ids=_role_ids(view, given))
    if token.role_ids and token.policies is None:
        token = replace(token, policies=())
    result = await server.propose(UpsertTokens(now_ns=now_ns, tokens=(token,)))
    return _shown(context, token.accessor_id, result.index)


def _stored(view: View, given: TokenRequest) -> AclToken | None:
    """The token that is changed; None if one is made, or brought along."""
    if not given.accessor_id:
        return None
    check_uuid(given.accessor_id, f"token lookup failed: {LOOKUP}")
    stored = view.get(ACL_TOKENS, given.accessor_id)
    is_brought = given.type == CLIENT and UUID.match(given.accessor_id) and UUID.match(given.secret_id)
    if stored is None and not is_brought:
        raise Refusal(400, f"cannot find token {given.accessor_id}")
    return stored


def _token(context: Context, given: TokenRequest, stored: AclToken | None, now_ns: int) -> AclToken:
    """The token as it is asked for; what is not given stays as it is stored."""
    ttl_ns, ends_ns = _lifetime(given, now_ns if stored is None else stored.create_time_ns)
    if stored is not None and given.expiration_ttl is None and given.expiration_time is None:
        ttl_ns, ends_ns = stored.expiration_ttl_ns, stored.expiration_time_ns
    server = context.server
    return AclToken(
        accessor_id=given.accessor_id or server.new_id(),
        secret_id=stored.secret_id if stored is not None else given.secret_id or server.new_id(),
        name=given.name,
        type=given.type,
        policies=given.policies,
        role_ids=tuple(one.id or one.name for one in given.roles or ()) or None,
        is_global=given.global_,
        create_time_ns=now_ns if stored is None else stored.create_time_ns,
        expiration_ttl_ns=ttl_ns,
        expiration_time_ns=ends_ns,
    )


def _lifetime(given: TokenRequest, start_ns: int) -> tuple[int, int]:
    """How long, and until when, in nanoseconds; 0 for no end. Raises Refusal(400)."""
    ttl, ends_ns = given.expiration_ttl, 0
    try:
        if isinstance(ttl, str):
            ttl_ns = parse_duration(ttl) if ttl else 0
        else:
            ttl_ns = int(ttl or 0)
        if given.expiration_time:
            ends_ns = from_rfc3339(given.expiration_time)
    except (ValueError, TypeError, OverflowError) as error:
        raise Refusal(400, str(error)) from None
    return ttl_ns, ends_ns or (start_ns + ttl_ns if ttl_ns else 0)


def _errors(context: Context, token: AclToken, stored: AclToken | None, now_ns: int) -> list[str]:
    """Everything that is wrong with a token."""
    found = []
    if token.type == CLIENT and not token.policies and not token.role_ids:
        found.append("client token missing policies or roles")
    elif token.type == MANAGEMENT and (token.policies or token.role_ids):
        found.append("management token cannot be associated with policies or roles")
    elif token.type not in (CLIENT, MANAGEMENT):
        found.append("token type must be client or management")
    if len(token.name) > NAME_MAX:
        found.append("token name too long")
    if stored is not None:
        if token.is_global != stored.is_global:
            found.append("cannot toggle global mode")
        if token.expiration_ttl_ns != stored.expiration_ttl_ns:
            found.append("cannot update expiration TTL")
        if token.expiration_time_ns != stored.expiration_time_ns:
            found.append("cannot update expiration time")
    elif token.expiration_time_ns:
        found += _lifetime_errors(context, token, now_ns)
    return found


def _lifetime_errors(context: Context, token: AclToken, now_ns: int) -> list[str]:
    config = context.server.config.acl
    least, most = nanoseconds(config.token_min_expiration_ttl), nanoseconds(config.token_max_expiration_ttl)
    asked = token.expiration_time_ns - now_ns
    found = []
    if token.expiration_ttl_ns < 0:
        found.append(f"token expiration TTL '{format_duration(token.expiration_ttl_ns)}' should not be negative")
    if asked < 0:
        found.append("expiration time cannot be before create time")
    if asked < least:
        limit = format_duration(least)
        found.append(f"expiration time cannot be less than {limit} in the future (was {format_duration(asked)})")
    elif asked > most:
        limit = format_duration(most)
        found.append(f"expiration time cannot be more than {limit} in the future (was {format_duration(asked)})")
    return found


def _role_ids(view: View, given: TokenRequest) -> tuple[str, ...] | None:
    """The IDs of the roles that are linked by ID or by name, each once; raises Refusal(400)."""
    found: dict[str, None] = {}
    for link in given.roles or ():
        roles = [view.get(ACL_ROLES, link.id)] if link.id else view.find(ACL_ROLES, "name", link.name)
        role = roles[0] if roles else None
        if role is None:
            raise Refusal(400, f"cannot find role {link.id or link.name}")
        found[role.id] = None
    return tuple(found) or None


def _shown(context: Context, accessor_id: str, index: int) -> Answer:
    view = context.server.view()
    row = view.get(ACL_TOKENS, accessor_id)
    if row is None:
        raise Refusal(500, "the token was deleted again already")
    return answered(row.shown(links(view, row)), index)


async def delete_token(context: Context) -> Answer:
    """DELETE /v1/acl/token/:accessor."""
    check_enabled(context)
    server = context.server
    result = await server.propose(DeleteTokens(now_ns=server.now_ns(), accessor_ids=(context.arguments[0],)))
    return Answer(200, b"", (index_header(result.index),))


# --- the first one


async def bootstrap(context: Context) -> Answer:
    """PUT /v1/acl/bootstrap: the first management token, without a token; once, and again after a reset."""
    check_enabled(context)
    secret = _given_secret(context.body)
    server = context.server
    done = server.view().get(ACL_BOOTSTRAP, "")
    reset_index = _reset_index(Path(server.data_dir) / RESET_FILE) if done is not None else 0
    now_ns = server.now_ns()
    token = AclToken(
        accessor_id=server.new_id(),
        secret_id=secret or server.new_id(),
        name="Bootstrap Token",
        type=MANAGEMENT,
        is_global=True,
        create_time_ns=now_ns,
    )
    result = await server.propose(BootstrapAcl(now_ns=now_ns, token=token, reset_index=reset_index))
    return _shown(context, token.accessor_id, result.index)


def _given_secret(body: bytes) -> str:
    if not body:
        return ""
    try:
        given = load_json(body)
    except Refusal as refusal:
        raise Refusal(400, f"failed to decode request body: {refusal.text}") from None
    secret = (given or {}).get("BootstrapSecret", "") if isinstance(given, dict | None) else None
    if not isinstance(secret, str) or (secret and not UUID.match(secret)):
        raise Refusal(400, "invalid acl token")
    return secret


def _reset_index(path: Path) -> int:
    """The index that an operator wrote down to allow one more bootstrap; 0 for none."""
    try:
        return int(path.read_text().strip())
    except (OSError, ValueError):
        return 0


# --- one-time tokens


async def make_one_time_token(context: Context) -> Answer:
    """PUT /v1/acl/token/onetime: a secret to be exchanged once for the token's own, within ten minutes."""
    check_enabled(context)
    token = context.identity.token
    if token is None or context.identity.is_anonymous:
        raise Refusal(500, f"{LOOKUP}missing secret id")
    server = context.server
    now_ns = server.now_ns()
    made = OneTimeToken(
        one_time_secret_id=server.new_id(), accessor_id=token.accessor_id, expires_at_ns=now_ns + ONE_TIME_NS
    )
    result = await server.propose(UpsertOneTimeToken(now_ns=now_ns, token=made))
    shown = OneTimeShown(
        accessor_id=made.accessor_id,
        create_index=result.index,
        expires_at=to_rfc3339(made.expires_at_ns),
        modify_index=result.index,
        one_time_secret_id=made.one_time_secret_id,
    )
    return answered(OneTimeAnswer(index=result.index, one_time_token=shown), result.index)


async def exchange_one_time_token(context: Context) -> Answer:
    """PUT /v1/acl/token/onetime/exchange: the token that a one-time secret stands for; the secret is gone then."""
    check_enabled(context)
    given = msgspec.convert(decode_body(context.body, ExchangeRequest), ExchangeRequest)
    server = context.server
    stored = server.view().get(ONE_TIME_TOKENS, given.one_time_secret_id)
    if stored is None:
        raise denied()
    taken = DeleteOneTimeTokens(now_ns=server.now_ns(), secret_ids=(given.one_time_secret_id,), taken=True)
    result = await server.propose(taken)
    view = server.view()
    token = view.get(ACL_TOKENS, stored.accessor_id)
    if token is None or token.is_expired(server.now_ns()):
        raise denied()
    return answered(ExchangeAnswer(index=result.index, token=token.shown(links(view, token))), result.index)
