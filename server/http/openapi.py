"""The OpenAPI 3.1 description, made from the route table and the records: GET /openapi.json.

Statuses are those of the wire protocol, which answers many refusals with 500 and a text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from yurt import __version__

if TYPE_CHECKING:
    from yurt.server.http.route import Route

_ARGUMENT = re.compile(r":(\w+)")
_READ = {
    "index": ("integer", "Answer only when the result is newer than this index (a blocking query)."),
    "wait": ("string", "How long a blocking query may wait: `30s`; 5 minutes at most."),
    "prefix": ("string", "Only what begins with this."),
    "per_page": ("integer", "At most so many; X-Nomad-NextToken says where the next page begins."),
    "next_token": ("string", "Where the page begins."),
    "filter": ("string", "An expression that items must match."),
    "stale": ("boolean", "Any server may answer from its own state."),
    "consistent": ("boolean", "A majority is asked that the answering state is the newest."),
}
_ALL = {
    "namespace": ("string", "The namespace; `*` lists all of them."),
    "region": ("string", "The region."),
    "pretty": ("boolean", "Indented JSON."),
}


def _parameters(route: Route, *, query: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _ARGUMENT.findall(route.path)
    ]
    for name, (kind, text) in ({**_READ, **_ALL} if query else _ALL).items():
        found.append({"name": name, "in": "query", "description": text, "schema": {"type": kind}})
    return found


def _operation(route: Route, handler: Any, *, query: bool, body: type[Any] | None) -> dict[str, Any]:
    text = " ".join((handler.__doc__ or "").split())
    operation: dict[str, Any] = {
        "summary": text,
        "parameters": _parameters(route, query=query),
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": {}}}},
            "default": {"description": "Refused.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        },
        "x-capability": route.capability,
    }
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _methods(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if reader := route.get or route.getter:
        found["get"] = _operation(route, reader, query=route.get is not None, body=None)
        if route.reads_by_post:
            found["post"] = _operation(route, reader, query=True, body=route.body)
    if route.put is not None:
        found["put"] = _operation(route, route.put, query=False, body=route.body)
        if not route.only_put:
            found["post"] = _operation(route, route.put, query=False, body=route.body)
    if route.delete is not None:
        found["delete"] = _operation(route, route.delete, query=False, body=None)
    return found


@lru_cache(1)
def description(routes: tuple[Route, ...]) -> bytes:
    """The description's JSON."""
    bodies = sorted({route.body for route in routes if route.body is not None}, key=lambda one: one.__name__)
    _, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(_ARGUMENT.sub(r"{\1}", route.path), {}).update(_methods(route))
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Yurt",
                "version": __version__,
                "description": "A replicated job state store, wire-compatible with Nomad's Jobs API.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Nomad-Token"}},
            },
        }
    )
