"""What the description says of answers is what a server sends, held against one with something of everything in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from tests.server.http.everything import Everything, Told, everything
from yurt.server.http.asgi.openapi import description
from yurt.server.http.routing.route import REFUSED
from yurt.server.http.routing.table import ROUTES, find

jsonschema_rs = pytest.importorskip("jsonschema_rs")  # of the extra `ci`

DESCRIPTION = json.loads(description(ROUTES))
# JSON of any shape, and why; `dict[str, Any]` says little more.
FREE = {
    "get /v1/agent/monitor": "frames without an end",
    "get /v1/event/stream": "lines without an end",
    "get /v1/client/fs/logs/:id": "frames without an end",
}
# Not asked here: they never end, or need what one server has not.
NOT_ASKED = {
    "get /v1/agent/monitor", "get /v1/event/stream",
    "put /v1/operator/raft/peer", "delete /v1/operator/raft/peer", "put /v1/operator/snapshot",
}  # fmt: skip


# Records that no answer of one server has that knows no Vault, no other region and no gateways of Consul.
BY_FAITH = {
    "AllocState", "DispatchPayload", "GatewaySDS", "HTTPHeaderModifiers", "LinkedService", "MeshGateway",
    "MultiregionRegion", "NUMA", "Schedule", "ScheduleCron", "Secret", "TerminatingGateway", "Vault",
}  # fmt: skip


def closed(schema: Any) -> Any:
    """The schema where no member may be that is not described."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    return found | {"additionalProperties": False} if isinstance(found.get("properties"), dict) else found


CLOSED = closed(deepcopy(DESCRIPTION["components"]["schemas"]))


def wrong(schema: dict[str, Any], value: Any) -> list[str]:
    """What of a value is not as described."""
    errors = validator(json.dumps(schema)).iter_errors(value)
    return [f"{'/'.join(map(str, one.instance_path))}: {one.message[:300]}" for one in errors]


@cache
def validator(schema: str) -> Any:
    return jsonschema_rs.validator_for({**json.loads(schema), "components": {"schemas": CLOSED}})


def operation(told: Told) -> tuple[str, dict[str, Any]]:
    found = find(told.path.partition("?")[0])
    assert found is not None
    path = found[0].path
    described = "/".join(f"{{{part[1:]}}}" if part.startswith(":") else part for part in path.split("/"))
    return f"{told.method.lower()} {path}", DESCRIPTION["paths"][described][told.method.lower()]


def problems(told: Told) -> list[str]:
    """What of an answer is not as described."""
    _, described = operation(told)
    response = described["responses"].get(str(told.status))
    if response is None:
        return [f"the status {told.status} is not described"]
    kind = told.headers.get("content-type", "").partition(";")[0]
    contents = response.get("content", {})
    if kind not in contents:
        return [f"the type {kind!r} is not described"] if told.body or contents else []
    found = wrong(contents[kind]["schema"], told.value) if kind == "application/json" else []
    for name, header in response.get("headers", {}).items():
        header = DESCRIPTION["components"]["headers"][header["$ref"].rpartition("/")[2]]
        value = told.headers.get(name.lower())
        if value is None:
            found += [f"no {name}"] if header.get("required") else []
        elif header["schema"]["type"] != "string":
            found += wrong(header["schema"], json.loads(value))
    return found


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    with everything(tmp_path_factory.mktemp("everything")) as made:
        yield made


def test_every_answer_is_as_it_is_described(every: Everything) -> None:
    good = [told for told in every.told if told.status < 300 and "/fs/logs/" not in told.path]
    found = {f"{told.method} {told.path}": problems(told) for told in good}
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_s19_no_browser_guesses_or_runs_an_answer(every: Everything) -> None:
    for told in every.told:
        if told.path.startswith("/v1/"):
            assert told.headers.get("x-content-type-options") == "nosniff", told.path
            assert told.headers.get("content-security-policy", "").startswith("sandbox;"), told.path


def test_every_endpoint_that_answers_was_asked(every: Everything) -> None:
    asked = {operation(told)[0] for told in every.told if told.status < 300}
    answering = set()
    for route in ROUTES:
        described = DESCRIPTION["paths"][
            "/".join("{" + p[1:] + "}" if p[:1] == ":" else p for p in route.path.split("/"))
        ]
        methods = set(described) - ({"post"} if "put" in described else set())  # POST is PUT there
        answering |= {f"{one} {route.path}" for one in methods if route.answers(one) != (REFUSED,)}
    assert answering - asked == NOT_ASKED


def names_in(schema: Any) -> set[str]:
    """The records that a schema refers to, and those in them."""
    found: set[str] = set()
    todo = [schema]
    while todo:
        one = todo.pop()
        todo += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if isinstance(one, dict) and "$ref" in one and (name := one["$ref"].rpartition("/")[2]) not in found:
            found.add(name)
            todo.append(DESCRIPTION["components"]["schemas"][name])
    return found


def names_of(schema: dict[str, Any], value: Any) -> Iterator[str]:
    """The records that a value is made of."""
    if reference := schema.get("$ref"):
        yield (name := reference.rpartition("/")[2])
        schema = DESCRIPTION["components"]["schemas"][name]
    for one in schema.get("anyOf", ()):
        if value is not None:
            yield from names_of(one, value)
    if isinstance(value, list):
        for one in value:
            yield from names_of(schema.get("items", {}), one)
    if isinstance(value, dict):
        others = schema.get("additionalProperties", {})
        for key, one in value.items():
            yield from names_of(schema.get("properties", {}).get(key, others), one)


def test_every_record_was_seen(every: Everything) -> None:
    seen, described = set(), set()
    for told in every.told:
        content = operation(told)[1]["responses"].get(str(told.status), {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        described |= names_in(schema)
        seen |= set(names_of(schema, told.value)) if names_in(schema) else set()
    assert described - seen == BY_FAITH


def test_an_answer_of_any_shape_has_a_reason() -> None:
    free = {
        f"{method} {route.path}"
        for route in ROUTES
        for method, handler in (("get", route.get or route.getter), ("put", route.put), ("delete", route.delete))
        if handler is not None and Any in route.answers(method)
    }
    assert free == set(FREE)


def test_what_is_not_described_is_found(every: Everything) -> None:
    told = next(one for one in every.told if one.path == "/v1/job/web" and one.method == "GET")
    assert problems(told) == []
    job = told.value
    for change in ({"Priority": "50"}, {"Unknown": 1}, {"Datacenters": "dc1"}, {"Update": None}):
        changed = told._replace(body=json.dumps(job | change).encode())
        assert problems(changed) != [], change
    lacking = {key: value for key, value in job.items() if key != "Constraints"}
    assert problems(told._replace(body=json.dumps(lacking).encode())) != []
    assert problems(told._replace(status=201)) and problems(told._replace(headers={}))


def test_refusals_come_as_text_or_as_a_problem(every: Everything) -> None:
    content = DESCRIPTION["components"]["responses"]["Refused"]["content"]
    for path in ("/v1/job/nothing", "/v1/quotas", "/v1/nodes?prefix=x", "/v1/jobs?index=x", "/v1/allocation/x"):
        plain = every.ask("GET", path)
        assert plain.status >= 400 and plain.headers["content-type"].partition(";")[0] == "text/plain"
        problem = every.ask("GET", path, Accept="application/problem+json")
        assert problem.headers["content-type"] == "application/problem+json" and problem.status >= 400
        assert wrong(content["application/problem+json"]["schema"], problem.value) == []
    assert wrong(content["application/problem+json"]["schema"], {"code": "no word of ours"}) != []
