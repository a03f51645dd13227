"""Requests of browsers' pages: refused before anything else is looked at, for servers and node agents alike (S6)."""

from __future__ import annotations

from collections.abc import Mapping

from yurt.fsm.errors import Refusal
from yurt.server.config.agent import AgentConfig
from yurt.server.http.asgi.limits import PLAIN_METHODS, Sites, sites_of
from yurt.server.http.routing.table import find

# Of every answer of the API: no browser guesses what it is, and none of it runs, whoever wrote it.
SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox; default-src 'none'; frame-ancestors 'none'"),
)


def sites(config: AgentConfig) -> Sites:
    """Return by which names an agent is called, and which foreign pages it trusts."""
    limits, own = config.limits, [config.advertised("http")]
    headers = config.http_api_response_headers
    return sites_of(config.bind("http"), own, limits.http_allowed_hosts, limits.http_allowed_origins, headers)


def answer_headers(config: AgentConfig) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of every answer of the API: the configured ones, and the safe ones that these do not set."""
    given = {name.lower().encode(): value.encode() for name, value in config.http_api_response_headers.items()}
    return (*(pair for pair in SAFE_HEADERS if pair[0] not in given), *given.items())


def page_refusal(known: Sites, method: str, path: str, headers: Mapping[bytes, bytes]) -> Refusal | None:
    """Return why a browser's page may not send a request; None for what it may, and for clients without pages."""
    if b"origin" not in headers and b"sec-fetch-site" not in headers:
        return None
    return known.page_refusal(headers) if _has_effects(method, path) else None


def _has_effects(method: str, path: str) -> bool:
    """Return whether a request may change something."""
    if method not in PLAIN_METHODS:
        return True
    try:
        found = find(path)
    except Refusal:
        return False
    return found is not None and found[0].get_has_effects
