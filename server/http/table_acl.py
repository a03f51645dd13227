"""The part of the route table that is about access control: /v1/acl/… (spec acl §3–§8)."""

from __future__ import annotations

from yurt.server.http.route import Route
from yurt.server.http.routes import acl_policies, acl_roles, acl_tokens

_M = "management"

ACL_FIXED: tuple[Route, ...] = (
    Route("/v1/acl/policies", "own", get=acl_policies.list_policies),
    Route("/v1/acl/policy/self", "own", get=acl_policies.own_policies),
    Route("/v1/acl/tokens", _M, get=acl_tokens.list_tokens),
    Route("/v1/acl/token", _M, put=acl_tokens.write_token, body=acl_tokens.TokenRequest),
    Route("/v1/acl/token/self", "own", get=acl_tokens.own_token),
    Route("/v1/acl/token/onetime", "own", put=acl_tokens.make_one_time_token),
    Route(
        "/v1/acl/token/onetime/exchange", "",
        put=acl_tokens.exchange_one_time_token, body=acl_tokens.ExchangeRequest,
    ),
    Route("/v1/acl/bootstrap", "", put=acl_tokens.bootstrap),
    Route("/v1/acl/roles", "own", get=acl_roles.list_roles),
    Route("/v1/acl/role", _M, put=acl_roles.write_role, body=acl_roles.RoleRequest),
    Route("/v1/acl/auth-methods", "", get=acl_roles.no_methods),
    Route("/v1/acl/binding-rules", _M, get=acl_roles.no_methods),
    Route("/v1/acl/auth-method", _M, put=acl_roles.no_method),
    Route("/v1/acl/binding-rule", _M, put=acl_roles.no_method),
    Route("/v1/acl/login", "", put=acl_roles.login, body=acl_roles.LoginRequest),
    Route("/v1/acl/oidc/auth-url", "", put=acl_roles.auth_url, body=acl_roles.LoginRequest),
    Route("/v1/acl/identity/client-introduction-token", _M, put=acl_roles.no_method),
)  # fmt: skip
ACL_PREFIXES: tuple[tuple[str, Route], ...] = (
    (
        "/v1/acl/policy/",
        Route(
            "/v1/acl/policy/:name", "own", put_capability=_M, delete_capability=_M,
            get=acl_policies.read_policy, put=acl_policies.write_policy, delete=acl_policies.delete_policy,
            body=acl_policies.PolicyRequest,
        ),
    ),
    (
        "/v1/acl/token/",
        Route(
            "/v1/acl/token/:accessor", "own", put_capability=_M, delete_capability=_M,
            get=acl_tokens.read_token, put=acl_tokens.write_token, delete=acl_tokens.delete_token,
            body=acl_tokens.TokenRequest,
        ),
    ),
    ("/v1/acl/role/name/", Route("/v1/acl/role/name/:name", "own", get=acl_roles.read_role_by_name)),
    (
        "/v1/acl/role/",
        Route(
            "/v1/acl/role/:id", "own", put_capability=_M, delete_capability=_M,
            get=acl_roles.read_role, put=acl_roles.write_role, delete=acl_roles.delete_role,
            body=acl_roles.RoleRequest,
        ),
    ),
    (
        "/v1/acl/auth-method/",
        Route(
            "/v1/acl/auth-method/:name", _M,
            getter=acl_roles.no_method, put=acl_roles.no_method, delete=acl_roles.no_method,
        ),
    ),
    (
        "/v1/acl/binding-rule/",
        Route(
            "/v1/acl/binding-rule/:id", _M,
            getter=acl_roles.no_method, put=acl_roles.no_method, delete=acl_roles.no_method,
        ),
    ),
)  # fmt: skip
