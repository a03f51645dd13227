"""The OpenAPI 3.1 description, made from the route table and the records: GET /openapi.json.

It is made at the first request for it. Statuses are those of the wire protocol, which answers many refusals with 500
and a text; who asks for problem details gets true ones.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from yurt import __version__
from yurt.server.http.asgi import problems
from yurt.server.http.asgi.schemas import Schemas
from yurt.server.http.routing.route import REFUSED, Plain

if TYPE_CHECKING:
    from yurt.server.http.routing.route import Route

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
_JSON = "application/json"
_SCHEMAS: dict[str, Any] = {"text/plain": {"type": "string"}}  # of what is no JSON; other content is bytes
_HEADERS: dict[str, dict[str, Any]] = {
    "Index": {
        "description": "The index of what was found: the `index` of the next blocking query.",
        "required": True,
        "schema": {"type": "integer"},
    },
    "WriteIndex": {"description": "The index at which it was written.", "schema": {"type": "integer"}},
    "NextToken": {
        "description": "Where the next page begins; not there on the last one.",
        "schema": {"type": "string"},
    },
    "KnownLeader": {"description": "Whether a leader is known.", "schema": {"type": "boolean"}},
    "LastContact": {
        "description": "For how many milliseconds the answering server has not heard of the leader.",
        "schema": {"type": "integer"},
    },
}
_OF_QUERIES = {
    "X-Nomad-Index": "Index",
    "X-Nomad-NextToken": "NextToken",
    "X-Nomad-KnownLeader": "KnownLeader",
    "X-Nomad-LastContact": "LastContact",
}
_OF_WRITES = {"X-Nomad-Index": "WriteIndex"}


def _parameters(route: Route, *, query: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _ARGUMENT.findall(route.path)
    ]
    for name, (kind, text) in ({**_READ, **_ALL} if query else _ALL).items():
        found.append({"name": name, "in": "query", "description": text, "schema": {"type": kind}})
    return found


def _responses(shapes: tuple[Any, ...], headers: dict[str, str], schemas: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for shape in shapes:
        if shape is REFUSED:
            continue
        plain = shape if isinstance(shape, Plain) else None
        one = found.setdefault(str(plain.status if plain is not None else 200), {"description": "Done."})
        if headers:
            one["headers"] = {name: {"$ref": f"#/components/headers/{what}"} for name, what in headers.items()}
        if plain is None:
            one.setdefault("content", {})[_JSON] = {"schema": schemas.answer(shape)}
        elif plain.media_type:
            one.setdefault("content", {})[plain.media_type] = {"schema": _SCHEMAS.get(plain.media_type, {})}
    return found | {"default": {"$ref": "#/components/responses/Refused"}}


def _operation(route: Route, method: str, handler: Any, schemas: Schemas) -> dict[str, Any]:
    reads = handler is route.get or handler is route.getter
    query = handler is route.get or (reads and method == "post")
    headers = _OF_QUERIES if handler is route.get else {} if reads else _OF_WRITES
    operation: dict[str, Any] = {
        "summary": " ".join((handler.__doc__ or "").split()),
        "parameters": _parameters(route, query=query),
        "responses": _responses(route.answers(method), headers, schemas),
        "x-capability": route.capability,
    }
    takes_body = method in ("put", "post") or (method == "delete" and route.put is None)
    if route.body is not None and takes_body:
        operation["requestBody"] = {"content": {_JSON: {"schema": schemas.request(route.body)}}}
    return operation


def _handlers(route: Route) -> dict[str, Any]:
    """Return the handler of each method."""
    reader = route.get or route.getter
    post = reader if route.reads_by_post else None if route.only_put else route.put
    found = {"get": reader, "post": post, "put": route.put, "delete": route.delete}
    return {method: handler for method, handler in found.items() if handler is not None}


def _schemas(routes: tuple[Route, ...]) -> Schemas:
    requests = (route.body for route in routes if route.body is not None)
    shapes = (shape for route in routes for method in _handlers(route) for shape in route.answers(method))
    answers = (shape for shape in shapes if shape is not REFUSED and not isinstance(shape, Plain))
    return Schemas(requests, (problems.ProblemDetails, *answers))


@lru_cache(1)
def description(routes: tuple[Route, ...]) -> bytes:
    """The description's JSON."""
    schemas = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {
        _ARGUMENT.sub(r"{\1}", route.path): {
            method: _operation(route, method, handler, schemas) for method, handler in _handlers(route).items()
        }
        for route in routes
    }
    refused = {
        "description": "Refused.",
        "content": {
            "text/plain": {"schema": _SCHEMAS["text/plain"]},
            problems.MEDIA_TYPE.decode(): {"schema": schemas.answer(problems.ProblemDetails)},
        },
    }
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
                "schemas": schemas.components,
                "headers": _HEADERS,
                "responses": {"Refused": refused},
                "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Nomad-Token"}},
            },
        }
    )
