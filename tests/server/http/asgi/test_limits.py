"""The limits of a head, as functions: whose pages and whose names are answered (`test_protocol.py`: on raw bytes)."""

from __future__ import annotations

import pytest

from yurt.server.config.agent import Addresses, AgentConfig, Limits
from yurt.server.http.asgi import guard
from yurt.server.http.asgi.limits import Sites, declared_length, head_refusal, host_name, is_loopback

OWN = {b"host": b"127.0.0.1:4646"}


def test_s19_a_head_is_checked_without_a_parser() -> None:
    fine = [(b"host", b"x"), (b"x-nomad-token", b"t"), (b"cookie", b"a"), (b"cookie", b"b")]
    assert head_refusal("1.1", b"/", fine) is None
    assert head_refusal("1.0", b"/", []) is None
    refused = {
        505: [("2.0", b"/", fine), ("3.0", b"/", fine)],
        400: [
            ("0.9", b"/", []),
            ("1.1", b"/", []),
            ("1.0", b"/", [(b"host", b"x"), (b"host", b"x")]),
            ("1.1", b"/", [*fine, (b"x-nomad-token", b"t")]),
            ("1.1", b"/", [*fine, (b"authorization", b"a"), (b"authorization", b"a")]),
            ("1.1", b"http://y/", fine),
            ("1.1", b"/", [(b"host", b"a/b")]),
        ],
    }
    for status, heads in refused.items():
        for head in heads:
            refusal = head_refusal(*head)
            assert refusal is not None and refusal.status == status, head


@pytest.mark.parametrize(("text", "length"), [(b"5", 5), (b"", 0), (b"x", 0), (b"9" * 5000, 0), ("²".encode(), 0)])
def test_s17_a_declared_length_is_a_number_or_nothing(text: bytes, length: int) -> None:
    assert declared_length({b"content-length": text}) == length
    assert declared_length({}) == 0


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:4646", "localhost"), ("LOCALHOST", "localhost"), ("127.0.0.1:1", "127.0.0.1"), ("[::1]:4646", "::1"),
        ("[::1]", "::1"), ("::1", "::1"), ("a.example.", "a.example"), ("a.example.:80", "a.example"), ("", ""),
    ],
)  # fmt: skip
def test_the_name_of_a_host(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("address", "expected"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
                              ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("evil.example", False)],
)  # fmt: skip
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


LOOPBACK = guard.sites(AgentConfig())
EVERYWHERE = guard.sites(AgentConfig(bind_addr="0.0.0.0"))
NAMED = guard.sites(AgentConfig(limits=Limits(http_allowed_hosts=["yurt.example"])))
ADVERTISED = guard.sites(AgentConfig(advertise=Addresses(http="yurt.example:80")))
ANY_HOST = guard.sites(AgentConfig(limits=Limits(http_allowed_hosts=["*"])))


@pytest.mark.parametrize(
    ("known", "host", "answered"),
    [
        *((LOOPBACK, host, True) for host in (b"localhost:4646", b"127.0.0.1:4646", b"[::1]:1", b"10.0.0.1", b"LocalHost", b"")),
        *((LOOPBACK, host, False) for host in (b"evil.example", b"localhost.evil.example:4646", b"127.0.0.1.nip.io", b"x")),
        (EVERYWHERE, b"evil.example", True),
        (NAMED, b"Yurt.example:4646", True), (NAMED, b"evil.example", False), (NAMED, b"localhost", True),
        (ADVERTISED, b"yurt.example", True), (ADVERTISED, b"evil.example", False), (ANY_HOST, b"evil.example", True),
    ],
)  # fmt: skip
def test_s6_on_loopback_only_names_of_the_agent_are_answered(known: Sites, host: bytes, answered: bool) -> None:
    refusal = known.host_refusal({b"host": host})
    assert (refusal is None) is answered
    assert refusal is None or (refusal.status == 403 and "http_allowed_hosts" in refusal.text)


TRUSTING = guard.sites(AgentConfig(limits=Limits(http_allowed_origins=["https://ops.example"])))
CORS = guard.sites(AgentConfig(http_api_response_headers={"access-control-allow-origin": "https://ops.example"}))
OPEN = guard.sites(AgentConfig(http_api_response_headers={"Access-Control-Allow-Origin": "*"}))
FOREIGN, TRUSTED, SELF = (
    {b"origin": b"http://evil.example"}, {b"origin": b"https://ops.example"}, {b"origin": b"http://127.0.0.1:4646"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("known", "headers", "changes", "opens"),
    [
        (LOOPBACK, {}, True, True),
        (LOOPBACK, SELF, True, True),
        (LOOPBACK, {**SELF, b"sec-fetch-site": b"same-origin"}, True, True),
        (LOOPBACK, {b"sec-fetch-site": b"none"}, True, True),
        (LOOPBACK, FOREIGN, False, False),
        (LOOPBACK, {b"origin": b"http://127.0.0.1:3000"}, False, False),
        (LOOPBACK, {b"origin": b"null"}, False, False),
        (LOOPBACK, {b"origin": b"http://["}, False, False),
        (LOOPBACK, {b"origin": b"https://yurt.example", b"sec-fetch-site": b"same-origin"}, True, True),
        (LOOPBACK, {b"origin": b"null", b"sec-fetch-site": b"same-origin"}, True, True),
        (LOOPBACK, {b"origin": b"https://yurt.example", b"sec-fetch-site": b"none"}, False, False),
        (LOOPBACK, {b"origin": b"https://yurt.example", b"sec-fetch-site": b"same-site"}, False, False),
        (LOOPBACK, {b"origin": b"https://yurt.example", b"sec-fetch-site": b"cross-site"}, False, False),
        (LOOPBACK, {b"sec-fetch-site": b"cross-site"}, False, False),
        (LOOPBACK, {b"sec-fetch-site": b"same-site"}, False, False),
        (TRUSTING, TRUSTED, True, True),
        (TRUSTING, FOREIGN, False, False),
        (CORS, TRUSTED, True, False),
        (CORS, FOREIGN, False, False),
        (OPEN, FOREIGN, True, False),
    ],
)  # fmt: skip
def test_s6_foreign_pages_change_nothing(known: Sites, headers: dict[bytes, bytes], changes: bool, opens: bool) -> None:
    given = {**OWN, **headers}
    assert (guard.page_refusal(known, "POST", "/v1/jobs", given) is None) is changes
    assert (guard.page_refusal(known, "DELETE", "/v1/job/x", given) is None) is changes
    assert (guard.page_refusal(known, "GET", "/v1/client/gc", given) is None) is changes
    assert (known.page_refusal(given, opens_socket=True) is None) is opens
    assert guard.page_refusal(known, "GET", "/v1/jobs", given) is None, "reading is left to what the browser permits"


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        (b"https://a.example", b"a.example", True), (b"https://a.example", b"a.example:443", True),
        (b"https://a.example:443", b"A.example", True), (b"http://a.example:80", b"a.example", True),
        (b"http://a.example", b"a.example:80", True), (b"http://[::1]", b"[::1]:80", True),
        (b"https://a.example", b"a.example:80", False), (b"http://a.example", b"a.example:443", False),
        (b"https://a.example:4646", b"a.example", False), (b"https://a.example", b"a.example:4646", False),
        (b"null", b"", False), (b"null", b":80", False), (b"http://", b"", False),
    ],
)  # fmt: skip
def test_s6_a_port_that_the_scheme_has_anyway_is_the_same_origin(origin: bytes, host: bytes, is_own: bool) -> None:
    assert (EVERYWHERE.page_refusal({b"origin": origin, b"host": host}) is None) is is_own


def test_s19_answers_say_how_they_may_be_used_unless_the_configuration_does() -> None:
    assert set(guard.SAFE_HEADERS) <= set(guard.answer_headers(AgentConfig()))
    own = AgentConfig(http_api_response_headers={"Content-Security-Policy": "default-src *", "X-Other": "y"})
    headers = guard.answer_headers(own)
    assert dict(headers)[b"content-security-policy"] == b"default-src *" and len(headers) == 3
