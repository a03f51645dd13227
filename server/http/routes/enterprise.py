"""The endpoints that only the commercial reference has, answered as its open build does (spec cluster §12)."""

from __future__ import annotations

from yurt.fsm.errors import Refusal
from yurt.server.http.asgi.context import Answer, Context

PATHS = (
    "/v1/quotas", "/v1/quota-usages", "/v1/quota", "/v1/sentinel/policies", "/v1/recommendations",
    "/v1/recommendation", "/v1/recommendations/apply", "/v1/operator/utilization",
)  # fmt: skip
PREFIXES = ("/v1/quota/", "/v1/sentinel/policy/", "/v1/recommendation/")


async def only_there(_context: Context) -> Answer:
    """501."""
    raise Refusal(501, "Nomad Enterprise only endpoint")


async def no_license(_context: Context) -> Answer:
    """GET /v1/operator/license: there is none and none is needed."""
    return Answer(204)
