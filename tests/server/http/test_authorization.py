"""Every route, every method: without a token, with every right but the needed one, with the needed one, as management."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.server.http.guarded import JOB, UNKNOWN, Guarded, guarded_server
from yurt.fsm.acl.capabilities import NAMESPACE_CAPABILITIES
from yurt.server.acl.need import Need
from yurt.server.http.routing.route import Route
from yurt.server.http.routing.table import ROUTES

# What a token of its own kind decides: who gets in without a right, and why.
OWN_ANONYMOUS = {
    "GET /v1/node/pools": 200, "PUT /v1/node/pools": 403, "PUT /v1/node/pool/:name": 403, "GET /v1/namespaces": 200,
    "GET /v1/namespace/:name": 403, "PUT /v1/search": 403, "PUT /v1/search/fuzzy": 403, "GET /v1/event/stream": 403,
    "GET /v1/scaling/policies": 403, "GET /v1/scaling/policy/:id": 403, "GET /v1/acl/policies": 200,
    "GET /v1/acl/policy/self": 403, "GET /v1/acl/token/self": 200, "PUT /v1/acl/token/onetime": 500,
    "GET /v1/acl/roles": 200, "GET /v1/acl/policy/:name": 403, "GET /v1/acl/token/:accessor": 403,
    "GET /v1/acl/role/name/:name": 403, "GET /v1/acl/role/:id": 403, "GET /v1/vars": 200, "GET /v1/var/:path": 403,
    "PUT /v1/var/:path": 403, "DELETE /v1/var/:path": 403,
}  # fmt: skip
CLUSTER_BLOCKS = {
    "node": 'node { policy = "write" }',
    "agent": 'agent { policy = "write" }',
    "operator": 'operator { policy = "write" }',
    "pool": 'node_pool "*" { policy = "write" }',
    "plugin": 'plugin { policy = "read" }',
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_server(tmp_path_factory.mktemp("acl")) as one:
        yield one


def body_of(guarded: Guarded, route: Route) -> Any:
    """A body that passes the first look."""
    name = route.path
    if name in ("/v1/jobs", "/v1/job/:id", "/v1/job/:id/plan", "/v1/validate/job"):
        return {"Job": JOB}
    if name.startswith("/v1/deployment/"):
        return {"DeploymentID": guarded.names["deployment"], "All": True, "Pause": False, "UnhealthyAllocationIDs": []}
    given = {
        "/v1/jobs/parse": {"JobHCL": 'job "x" {}'},
        "/v1/job/:id/evaluate": {"JobID": "web"},
        "/v1/job/:id/stable": {"JobID": "web", "JobVersion": 0, "Stable": True},
        "/v1/job/:id/revert": {"JobID": "web", "JobVersion": 0},
        "/v1/job/:id/scale": {"Count": 1, "Target": {"Group": "g"}},
        "/v1/job/:id/versions/:tag/tag": {"Name": "v"},
        "/v1/search": {"Prefix": "w", "Context": "jobs"},
        "/v1/search/fuzzy": {"Text": "we", "Context": "jobs"},
        "/v1/node/pools": {"Name": "mine"},
        "/v1/node/pool/:name": {"Name": "default"},
        "/v1/operator/scheduler/configuration": {"PreemptionConfig": {"SystemSchedulerEnabled": True}},
        "/v1/var/:path": {"Items": {"a": "b"}},
    }
    return given.get(name, {})


def methods(route: Route) -> list[str]:
    found = ["GET"] if route.get is not None or route.getter is not None else []
    found += ["PUT"] if route.put is not None else []
    return found + (["DELETE"] if route.delete is not None else [])


OF_NAMESPACES = ("namespace", "listed", "its", "service")
SOCKETS = ("/v1/job/:id/action", "/v1/client/allocation/:id/exec")
CASES = [(route, method) for route in ROUTES if route.path not in SOCKETS for method in methods(route)]
# Ending the job or its node, or what the other cases need, comes last.
CASES.sort(
    key=lambda case: case[1] == "DELETE" or case[0].path.endswith(("/purge", "/stop", "/drain", "/gc", "/raft/peer"))
)


def rules_for(need: Need) -> list[str]:
    """One policy for each way to meet a need."""
    if need.kind in OF_NAMESPACES:
        return [f'namespace "default" {{ capabilities = ["{word}"] }}' for word in need.any_of]
    if need.kind == "pool":
        return [f'node_pool "default" {{ capabilities = ["{word}"] }}' for word in need.any_of]
    return [
        f'{need.kind} {{ policy = "{word}" }}'
        if word in ("read", "write", "list")
        else f'{need.kind} {{ capabilities = ["{word}"] }}'
        for word in need.any_of
    ]


def rules_without(need: Need) -> str:
    """Every right but the needed ones."""
    others = sorted(NAMESPACE_CAPABILITIES - set(need.any_of) - {"deny"})
    if need.kind not in OF_NAMESPACES:
        others = sorted(NAMESPACE_CAPABILITIES - {"deny"})
    blocks = [block for kind, block in CLUSTER_BLOCKS.items() if kind != need.kind]
    blocks.append(f'namespace "default" {{ capabilities = {json.dumps(others)} }}')
    return "\n".join((*blocks, 'namespace "elsewhere" { policy = "write" }'))


@pytest.mark.parametrize(("route", "method"), CASES, ids=[f"{method} {route.path}" for route, method in CASES])
def test_nothing_answers_without_its_right(guarded: Guarded, route: Route, method: str) -> None:
    need, path, body = route.need(method), guarded.path(route), body_of(guarded, route) if method != "GET" else None
    label = f"{method} {route.path}"

    def status(secret: str) -> int:
        return guarded.call(method, path, body, secret)[0]

    refused = 500 if label == "GET /v1/allocation/:id" else 403
    if need.kind == "own":
        assert status("") == OWN_ANONYMOUS[label], label
    elif need.kind == "secret":
        assert status("") in (400, 403, 500) and status(guarded.holder(rules_without(need))) in (400, 403, 500)
        return
    elif need.kind == "nothing":
        assert status("") != 403 or label == "PUT /v1/acl/token/onetime/exchange"  # there the secret is the right
    elif need.kind != "management":
        assert status("") == refused, "without a token"
        assert status(guarded.holder(rules_without(need))) == refused, "with every other right"
        if route.path not in ("/v1/node/pool/:name/nodes", "/v1/node/pool/:name/jobs"):  # these need two rights
            for rules in rules_for(need):
                if not (label == "DELETE /v1/job/:id" and "purge-job" in rules):
                    assert status(guarded.holder(rules)) not in (401, 403), rules
    else:
        assert status("") == 403 and status(guarded.holder(rules_without(need))) == 403
    assert status(UNKNOWN) == 403 or need.kind == "nothing", "an unknown token"
    assert status(guarded.management) not in (401, 403) or need.kind == "nothing", "management"


FOREIGN_PAGES = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"})
EFFECTS = [(route, method) for route, method in CASES if method != "GET" or route.get_has_effects]


@pytest.mark.parametrize(("route", "method"), EFFECTS, ids=[f"{method} {route.path}" for route, method in EFFECTS])
def test_s6_a_page_of_another_site_changes_nothing_whatever_its_token(
    guarded: Guarded, route: Route, method: str
) -> None:
    methods = ("PUT", "POST") if method == "PUT" else (method,)
    for page in FOREIGN_PAGES:
        for verb in methods:
            answer = guarded.call(verb, guarded.path(route), body_of(guarded, route), guarded.management, **page)
            assert answer[0] == 403 and "may change nothing here" in answer[1], answer


def test_s6_reads_with_effects_are_named_in_the_table() -> None:
    of_nodes = [route for route in ROUTES if route.path.startswith("/v1/client/")]
    both = {route.path for route in of_nodes if route.getter is not None and route.put is not None}
    assert both and both == {route.path for route in ROUTES if route.get_has_effects}


@pytest.mark.parametrize("path", SOCKETS)
def test_s6_a_page_of_another_site_opens_no_socket(guarded: Guarded, path: str) -> None:
    address = f"ws://127.0.0.1:{guarded.server.http_port}{path.replace('/job/:id', '/job/web')}"
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with (
            pytest.raises(InvalidStatus) as error,
            connect(address, additional_headers=headers, proxy=None) as socket,
        ):
            socket.recv(timeout=5)
        assert error.value.response.status_code == 403


def test_s6_own_pages_and_clients_without_pages_go_on(guarded: Guarded) -> None:
    address = guarded.server.address
    for page in ({}, {"Origin": address}, {"Origin": address, "Sec_Fetch_Site": "same-origin"}):
        status, _ = guarded.call("PUT", "/v1/jobs", {"Job": JOB}, guarded.management, **page)
        assert status == 200, page
    assert guarded.call("GET", "/v1/jobs", None, guarded.management, Origin="http://evil.example")[0] == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/ui/", "/openapi.json", "/.well-known/jwks.json", "/nowhere"])
def test_s6_an_agent_on_loopback_answers_to_its_own_names_only(guarded: Guarded, path: str) -> None:
    status, text = guarded.call("GET", path, None, guarded.management, Host="rebound.example:4646")
    assert status == 403 and "rebound.example:4646 is no name of this agent" in text
    assert guarded.call("GET", path, None, guarded.management, Host="localhost")[0] in (200, 404)


@pytest.mark.parametrize("path", SOCKETS)
def test_no_command_is_run_without_its_right(guarded: Guarded, path: str) -> None:
    alloc = guarded.names["allocation"]
    target = path.replace("/job/:id", "/job/web").replace(":id", alloc)
    query = f"?task=t&command=%5B%22true%22%5D&action=none&allocID={alloc}&ws_handshake=true"

    def reason(secret: str, *, in_header: bool = False) -> str:
        headers = {"X-Nomad-Token": secret} if in_header else {}
        address = f"ws://127.0.0.1:{guarded.server.http_port}{target}{query}"
        with connect(address, additional_headers=headers, proxy=None) as socket:
            socket.send(json.dumps({"version": 1, "auth_token": "" if in_header else secret}))
            try:
                while True:
                    socket.recv(timeout=10)
            except ConnectionClosed as closed:
                return closed.rcvd.reason if closed.rcvd is not None else ""

    right = guarded.holder('namespace "default" { capabilities = ["alloc-exec"] }')
    for secret in ("", UNKNOWN, guarded.holder(rules_without(Need("its", ("alloc-exec",))))):
        assert reason(secret) == "Permission denied" == reason(secret, in_header=True)
    assert reason(right) != "Permission denied" != reason(right, in_header=True)
    assert reason(guarded.management) != "Permission denied"
