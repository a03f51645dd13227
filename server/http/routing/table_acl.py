"""The part of the route table that is about access control: /v1/acl/… (spec acl §3–§8)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.structs.acl import AclPolicy, AclRole, PolicyStub, TokenShown, TokenStub
from yurt.server.http.routes import acl_policies, acl_roles, acl_tokens
from yurt.server.http.routing.route import NOTHING, REFUSED, Route, refusing

_M = "management"
_N = acl_roles.no_method

ACL_FIXED: tuple[Route, ...] = (
    Route("/v1/acl/policies", "own", get=acl_policies.list_policies, answer=list[PolicyStub]),
    Route("/v1/acl/policy/self", "own", get=acl_policies.own_policies, answer=list[PolicyStub]),
    Route("/v1/acl/tokens", _M, get=acl_tokens.list_tokens, answer=list[TokenStub]),
    Route("/v1/acl/token", _M, put=acl_tokens.write_token, body=acl_tokens.TokenRequest, put_answer=TokenShown),
    Route("/v1/acl/token/self", "own", get=acl_tokens.own_token, answer=TokenShown),
    Route(
        "/v1/acl/token/onetime", "own",
        put=acl_tokens.make_one_time_token, put_answer=acl_tokens.OneTimeAnswer,
    ),
    Route(
        "/v1/acl/token/onetime/exchange", "",
        put=acl_tokens.exchange_one_time_token, body=acl_tokens.ExchangeRequest, put_answer=acl_tokens.ExchangeAnswer,
    ),
    Route("/v1/acl/bootstrap", "", put=acl_tokens.bootstrap, put_answer=TokenShown),
    Route("/v1/acl/roles", "own", get=acl_roles.list_roles, answer=list[AclRole]),
    Route("/v1/acl/role", _M, put=acl_roles.write_role, body=acl_roles.RoleRequest, put_answer=AclRole),
    Route("/v1/acl/auth-methods", "", get=acl_roles.no_methods, answer=list[Any]),
    Route("/v1/acl/binding-rules", _M, get=acl_roles.no_methods, answer=list[Any]),
    Route("/v1/acl/auth-method", _M, put=_N, put_answer=REFUSED),
    Route("/v1/acl/binding-rule", _M, put=_N, put_answer=REFUSED),
    Route("/v1/acl/login", "", put=acl_roles.login, body=acl_roles.LoginRequest, put_answer=REFUSED),
    Route("/v1/acl/oidc/auth-url", "", put=acl_roles.auth_url, body=acl_roles.LoginRequest, put_answer=REFUSED),
    Route("/v1/acl/identity/client-introduction-token", _M, put=_N, put_answer=REFUSED),
)  # fmt: skip
ACL_PREFIXES: tuple[tuple[str, Route], ...] = (
    (
        "/v1/acl/policy/",
        Route(
            "/v1/acl/policy/:name", "own", put_capability=_M, delete_capability=_M,
            get=acl_policies.read_policy, answer=AclPolicy,
            put=acl_policies.write_policy, body=acl_policies.PolicyRequest, put_answer=NOTHING,
            delete=acl_policies.delete_policy, delete_answer=NOTHING,
        ),
    ),
    (
        "/v1/acl/token/",
        Route(
            "/v1/acl/token/:accessor", "own", put_capability=_M, delete_capability=_M,
            get=acl_tokens.read_token, answer=TokenShown,
            put=acl_tokens.write_token, body=acl_tokens.TokenRequest, put_answer=TokenShown,
            delete=acl_tokens.delete_token, delete_answer=NOTHING,
        ),
    ),
    (
        "/v1/acl/role/name/",
        Route("/v1/acl/role/name/:name", "own", get=acl_roles.read_role_by_name, answer=AclRole),
    ),
    (
        "/v1/acl/role/",
        Route(
            "/v1/acl/role/:id", "own", put_capability=_M, delete_capability=_M,
            get=acl_roles.read_role, answer=AclRole,
            put=acl_roles.write_role, body=acl_roles.RoleRequest, put_answer=AclRole,
            delete=acl_roles.delete_role, delete_answer=NOTHING,
        ),
    ),
    ("/v1/acl/auth-method/", refusing("/v1/acl/auth-method/:name", _M, _N)),
    ("/v1/acl/binding-rule/", refusing("/v1/acl/binding-rule/:id", _M, _N)),
)  # fmt: skip
