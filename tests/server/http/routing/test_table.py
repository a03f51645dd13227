"""The route table: every path, every method."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from tests.process.servers import ServerProcess, single
from yurt.fsm.errors import Refusal
from yurt.server.http.routes import enterprise
from yurt.server.http.routing.route import BODY_BYTES_MAX, Route
from yurt.server.http.routing.table import ROUTES, body_limit, find

METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS")


def concrete(route: Route) -> str:
    path = route.path.replace(":id", "00000000-0000-0000-0000-000000000000").replace(":tag", "t").replace(":name", "x")
    return path + ("?version=0" if path.endswith("/submission") else "")


def allowed(route: Route, method: str) -> bool:
    if route.any_method:
        return True
    return {
        "GET": route.get is not None or route.getter is not None,
        "PUT": route.put is not None,
        "POST": route.reads_by_post or (route.put is not None and not route.only_put),
        "DELETE": route.delete is not None,
    }.get(method, False)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_body_is_as_large_as_its_route_says(route: Route) -> None:
    path = concrete(route).partition("?")[0]
    assert body_limit("GET", path) == 0, "it has none"
    assert body_limit("POST", path) == (0 if route.streams_body else route.body_bytes_max)


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/job/a/versions/b/c/tag"])
def test_a_body_for_nobody_is_a_small_one(path: str) -> None:
    assert body_limit("PUT", path) == BODY_BYTES_MAX


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_wrong_method_is_refused(server: ServerProcess, route: Route) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    for method in METHODS:
        if allowed(route, method):
            continue
        connection.request(method, concrete(route))
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == route.wrong_method, (method, route.path)
        assert method == "HEAD" or body == b"Invalid method"
    connection.close()


def test_every_route_names_its_right() -> None:
    open_to_all = {
        "/v1/status/leader", "/v1/status/peers", "/v1/regions", "/v1/agent/health", "/v1/metrics",
        "/v1/operator/license", "/v1/acl/bootstrap", "/v1/acl/token/onetime/exchange", "/v1/acl/auth-methods",
        "/v1/acl/login", "/v1/acl/oidc/auth-url",
        "/v1/client/fs/:other", "/v1/client/allocation/:id",  # nothing is there
        *enterprise.PATHS, *(f"{prefix}:name" for prefix in enterprise.PREFIXES),
    }  # fmt: skip
    assert {route.path for route in ROUTES if not route.capability} == open_to_all


@pytest.mark.parametrize(
    ("path", "route", "arguments"),
    [
        ("/v1/job/a", "/v1/job/:id", ("a",)),
        ("/v1/job/a/b/c", "/v1/job/:id", ("a/b/c",)),
        ("/v1/job/par/dispatch-1-ab/summary", "/v1/job/:id/summary", ("par/dispatch-1-ab",)),
        ("/v1/job/x/summary/summary", "/v1/job/:id/summary", ("x/summary",)),
        ("/v1/job/summary", "/v1/job/:id", ("summary",)),
        ("/v1/job/a/dispatch/payload", "/v1/job/:id/dispatch/payload", ("a",)),
        ("/v1/job/a/periodic/force", "/v1/job/:id/periodic/force", ("a",)),
        ("/v1/job/a/versions/t/tag", "/v1/job/:id/versions/:tag/tag", ("a", "t")),
        ("/v1/job/a/anything/t/tag", "/v1/job/:id/versions/:tag/tag", ("a", "t")),
        ("/v1/job/a/tag/x/y", "/v1/job/:id", ("a/tag/x/y",)),
        ("/v1/job/", "/v1/job/:id", ("",)),
        ("/v1/evaluation/e/allocations", "/v1/evaluation/:id/allocations", ("e",)),
        ("/v1/namespace/n", "/v1/namespace/:name", ("n",)),
    ],
)
def test_a_jobs_endpoint_is_found_by_its_ending(path: str, route: str, arguments: tuple[str, ...]) -> None:
    found = find(path)
    assert found is not None
    assert (found[0].path, found[1]) == (route, arguments)


def test_a_tags_path_of_another_shape_is_404() -> None:
    with pytest.raises(Refusal) as caught:
        find("/v1/job/a/b/versions/t/tag")
    assert (caught.value.status, caught.value.text) == (404, "invalid job tag endpoint")


@pytest.mark.parametrize("path", ["/v1/jobs/", "/v1/jobs/foo", "/v1/nope", "/nothing"])
def test_an_unknown_path_is_404_and_empty(server: ServerProcess, path: str) -> None:
    assert server.request("GET", path) == (404, None)


@pytest.mark.parametrize(
    ("path", "location"), [("/", "/ui/"), ("/ui", "/ui/"), ("/v1/job", "/v1/job/"), ("/v1//jobs?a=b", "/v1/jobs?a=b")]
)
def test_redirects(server: ServerProcess, path: str, location: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("location", "").removeprefix(server.address)) == (307, location)
    connection.close()


def test_without_the_web_page_nothing_leads_to_it(tmp_path: Path) -> None:
    with single(tmp_path, ui={"enabled": False}) as alone:
        for path in ("/", "/ui", "/ui/", "/docs"):
            connection = http.client.HTTPConnection("127.0.0.1", alone.http_port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (404, b"")
            connection.close()


@pytest.mark.parametrize(
    ("path", "status"), [("/ui/jobs/web.v2@default", 200), ("/ui/views/no.js", 404), ("/ui/x.css", 404)]
)
def test_a_view_of_a_job_with_a_dot_in_its_name_is_the_page(server: ServerProcess, path: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == status and (b"<html" in answer.read()) == (status == 200)
    connection.close()
