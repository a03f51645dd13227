"""The API's description names every route, method and record."""

from __future__ import annotations

import json
import re

from tests.process.servers import ServerProcess
from yurt.server.http.asgi.openapi import description
from yurt.server.http.routing.table import ROUTES


def test_every_route_is_described_and_every_reference_leads_somewhere() -> None:
    found = json.loads(description(ROUTES))
    assert {re.sub(r":(\w+)", r"{\1}", route.path) for route in ROUTES} == set(found["paths"])
    text = json.dumps(found)
    references = set(re.findall(r'"#/components/(\w+)/([^"]+)"', text))
    assert {kind for kind, _ in references} == {"schemas", "headers", "responses"}
    for kind, name in references:
        assert name in found["components"][kind]
    for name, schema in found["components"]["schemas"].items():
        assert re.fullmatch(r"\w+", name), "two records have one name"
        assert set(schema.get("required", ())) <= set(schema["properties"])
    job = found["components"]["schemas"]["Job"]["properties"]
    assert {"ID", "TaskGroups", "JobModifyIndex"} <= set(job)
    whole, given = (found["components"]["schemas"][name]["required"] for name in ("Job", "JobInput"))
    assert set(job) - set(whole) == {"SubmittedBy"} and given == [], "answers are whole, requests need not be"
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], f"{method} {path} says nothing"
            assert {one["name"] for one in operation["parameters"] if one["in"] == "path"} == set(
                re.findall(r"{(\w+)}", path)
            )


def test_it_is_served(server: ServerProcess) -> None:
    status, body = server.request("GET", "/openapi.json")
    assert status == 200 and body["openapi"] == "3.1.0"
