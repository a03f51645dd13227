"""Every list: a filter finds only what its caller may read. The lists come from the route table, the fields from the
records, so that a new list or a new field is covered by being there."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tests.server.http.guarded import JOB, UNKNOWN, Guarded, guarded_server
from tests.server.http.test_authorization import rules_for
from yurt.fsm.structs.acl import AclPolicy, AclRole, AclToken
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.namespace import Namespace
from yurt.fsm.structs.node import Node, NodePool
from yurt.fsm.structs.policies import ScalingPolicy
from yurt.fsm.structs.registration import ServiceRegistration
from yurt.fsm.structs.secrets import SECRET_FIELDS
from yurt.fsm.structs.variable import RootKey, Variable
from yurt.server.http.routing.route import Route
from yurt.server.http.routing.table import ROUTES
from yurt.server.testing.agent import wait_for

# The stored record behind the rows of each list, and where its holder reads one of them whole.
STORED: dict[str, tuple[type[Any], str]] = {
    "/v1/jobs": (Job, "/v1/job/web"),
    "/v1/jobs/statuses": (Job, "/v1/job/web"),
    "/v1/node/pool/:name/jobs": (Job, "/v1/job/web"),
    "/v1/scaling/policies": (ScalingPolicy, "/v1/scaling/policy/{scaling}"),
    "/v1/evaluations": (Evaluation, "/v1/evaluation/{evaluation}"),
    "/v1/job/:id/evaluations": (Evaluation, "/v1/evaluation/{evaluation}"),
    "/v1/evaluations/count": (Evaluation, "/v1/evaluation/{evaluation}"),
    "/v1/allocations": (Allocation, "/v1/allocation/{allocation}"),
    "/v1/job/:id/allocations": (Allocation, "/v1/allocation/{allocation}"),
    "/v1/evaluation/:id/allocations": (Allocation, "/v1/allocation/{allocation}"),
    "/v1/deployment/allocations/:id": (Allocation, "/v1/allocation/{allocation}"),
    "/v1/node/:id/allocations": (Allocation, "/v1/allocation/{allocation}"),
    "/v1/deployments": (Deployment, "/v1/deployment/{deployment}"),
    "/v1/job/:id/deployments": (Deployment, "/v1/deployment/{deployment}"),
    "/v1/nodes": (Node, "/v1/node/{node}"),
    "/v1/node/pool/:name/nodes": (Node, "/v1/node/{node}"),
    "/v1/node/pools": (NodePool, "/v1/node/pool/default"),
    "/v1/namespaces": (Namespace, "/v1/namespace/default"),
    "/v1/services": (ServiceRegistration, "/v1/service/web"),
    "/v1/service/:name": (ServiceRegistration, "/v1/service/web"),
    "/v1/job/:id/services": (ServiceRegistration, "/v1/service/web"),
    "/v1/allocation/:id/services": (ServiceRegistration, "/v1/service/web"),
    "/v1/vars": (Variable, "/v1/var/a/b"),
    "/v1/operator/keyring/keys": (RootKey, ""),
    "/v1/acl/policies": (AclPolicy, "/v1/acl/policy/reader"),
    "/v1/acl/policy/self": (AclPolicy, "/v1/acl/policy/reader"),
    "/v1/acl/tokens": (AclToken, ""),
    "/v1/acl/roles": (AclRole, "/v1/acl/role/name/r"),
}
NO_ROWS = {
    "/v1/operator/state": "sizes of tables",
    "/v1/acl/auth-methods": "there are none",
    "/v1/acl/binding-rules": "there are none",
}
MAY_BE_EMPTY = {
    "/v1/acl/policy/self": "a management token has none",
    "/v1/node/:id/allocations": "whoever may read nodes only sees no job",
    "/v1/deployment/allocations/:id": "the deployment may be a newer one",
    "/v1/evaluation/:id/allocations": "the evaluation may be another one",
}
OWN_RIGHTS = {
    "/v1/scaling/policies": ['namespace "default" { capabilities = ["list-scaling-policies"] }'],
    "/v1/node/pools": ['node_pool "*" { policy = "read" }'],
    "/v1/namespaces": ['namespace "default" { capabilities = ["list-jobs"] }'],
    "/v1/vars": ['namespace "default" { variables { path "*" { capabilities = ["list"] } } }'],
    "/v1/node/pool/:name/nodes": ['node { policy = "read" }\nnode_pool "default" { policy = "read" }'],
    "/v1/node/pool/:name/jobs": [
        'namespace "default" { capabilities = ["list-jobs"] }\nnode_pool "default" { policy = "read" }'
    ],
}


def is_list(route: Route) -> bool:
    answers = route.answers("get")
    return route.get is not None and any(typing.get_origin(one) is list for one in answers)


LISTS = [route for route in ROUTES if is_list(route) or route.path == "/v1/evaluations/count"]
SHOWN = [route for route in LISTS if route.path not in NO_ROWS]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_server(tmp_path_factory.mktemp("hidden")) as one:
        management = one.management
        body = {"Name": "reader", "Rules": 'node { policy = "read" }'}
        assert one.call("PUT", "/v1/acl/policy/reader", body, management)[0] == 200
        role = {"Name": "r", "Policies": [{"Name": "reader"}]}
        assert one.call("PUT", "/v1/acl/role", role, management)[0] == 200
        assert one.call("PUT", "/v1/var/a/b", {"Items": {"k": "v"}}, management)[0] == 200
        service = {"Name": "web", "Provider": "nomad"}
        group = {**JOB["TaskGroups"][0], "Services": [service], "Scaling": {"Enabled": True, "Max": 3}}
        assert (
            one.call("PUT", "/v1/jobs", {"Job": {**JOB, "TaskGroups": [group], "Meta": {"a": "b"}}}, management)[0]
            == 200
        )
        found = wait_for(lambda: one.call("GET", "/v1/service/web", None, management)[1], 20, "a registered service")
        one.names["allocation"] = found[0]["AllocID"]
        one.names["node"] = one.call("GET", "/v1/nodes", None, management)[1][0]["ID"]
        one.names["scaling"] = one.call("GET", "/v1/scaling/policies", None, management)[1][0]["ID"]
        yield one


def test_every_list_of_the_route_table_is_looked_at() -> None:
    assert {route.path for route in LISTS} == {*STORED, *NO_ROWS}


def holders(guarded: Guarded, route: Route) -> Iterator[str]:
    """Yield a secret for each way to meet the need of a list, and the management token's."""
    need = route.need("GET")
    if rules := OWN_RIGHTS.get(route.path):
        yield from map(guarded.holder, rules)
    elif need.kind not in ("own", "management", "nothing"):
        yield from map(guarded.holder, rules_for(need))
    yield guarded.management


def names_in(value: Any) -> set[str]:
    """Return the members of an answer's rows, or of the one object that it is."""
    rows = value if isinstance(value, list) else [value]
    return {name for row in rows if isinstance(row, dict) for name in row}


@pytest.mark.parametrize("route", SHOWN, ids=lambda route: route.path)
def test_s4_no_filter_of_a_list_reaches_a_field_that_its_caller_cannot_read(guarded: Guarded, route: Route) -> None:
    record, whole = STORED[route.path]
    secret_names = SECRET_FIELDS.get(record, frozenset())
    fields = {field.encode_name: field.name in secret_names for field in msgspec.structs.fields(record)}
    path = guarded.path(route).replace(f"/v1/node/{UNKNOWN}", f"/v1/node/{guarded.names['node']}")
    path = path.replace("/v1/service/default", "/v1/service/web")
    for secret in holders(guarded, route):

        def ask(query: str, secret: str = secret) -> tuple[int, Any]:
            return guarded.call("GET", f"{path}?{query}", None, secret)

        status, rows = ask("meta=true")
        assert status == 200 and (rows or route.path in MAY_BE_EMPTY), rows
        may_read = bool(whole) and guarded.call("GET", whole.format(**guarded.names), None, secret)[0] == 200
        shown = names_in(rows)
        told = ask(f"filter={quote('NoSuchField is not nil')}")
        for name, is_secret in fields.items():
            if is_secret or not (may_read or name in shown):
                status, answer = ask(f"filter={quote(f'{name} is not nil')}")
                text = answer.replace(name, "NoSuchField") if isinstance(answer, str) else answer
                assert (status, text) == told, name
