"""The audit log's record of a request."""

from __future__ import annotations

from typing import Any

from yurt.server.http.asgi.context import Answer, Context


def line_of(context: Context, answer: Answer) -> dict[str, Any]:
    """Return what the audit log says of a request and its answer, but for the time."""
    identity = context.identity
    token = identity.token
    index = next((value for name, value in answer.headers if name == b"x-nomad-index"), None)
    return {
        "server": context.server.name,
        "who": {
            "accessor_id": token.accessor_id if token is not None else "",
            "name": (token.name if token is not None else "") or identity.name,
            "address": context.address,
        },
        "request": {
            "method": context.method,
            "path": context.path,
            "endpoint": context.route,
            "namespace": context.namespace,
            "handed_over": context.forwarded,
        },
        "result": {"status": answer.status, "index": int(index) if index is not None else None},
    }
