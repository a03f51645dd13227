"""Attacks on the HTTP side of a real agent with access control, by raw sockets: rows S6, S8, S12, S17 and S19."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.attacks import UPLOADS, upload
from tests.bench.product import resident_mb
from tests.process.servers import single, small_job
from tests.server.http.guarded import Guarded, guarded_server

pytestmark = pytest.mark.slow
ROOM_MB = 128
GROWN_MB_MAX = 40
JOB = json.dumps(small_job("attacked")).encode()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_server(tmp_path_factory.mktemp("attacked")) as one:
        yield one


def told(guarded: Guarded, sent: bytes) -> tuple[int, bytes]:
    """Send bytes on a connection of their own; return the status (0: none) and all that came back."""
    with socket.create_connection(("127.0.0.1", guarded.server.http_port), timeout=20) as connection:
        connection.sendall(sent)
        data = b""
        try:
            while part := connection.recv(65536):
                data += part
        except ConnectionError:
            pass
    return (int(data.split()[1]) if data.startswith(b"HTTP/") else 0), data


def put(body: bytes, *headers: str, line: str = "PUT /v1/jobs HTTP/1.1") -> bytes:
    head = "\r\n".join((line, *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""))
    return head.encode() + body


def test_s6_pages_of_others_and_rebound_names_start_nothing(guarded: Guarded) -> None:
    token, own = f"X-Nomad-Token: {guarded.management}", "Host: localhost"
    for headers in (
        (own, "Origin: http://evil.example", "Content-Type: text/plain"),
        (own, "Sec-Fetch-Site: cross-site"),
        ("Host: rebound.example", "Origin: http://rebound.example"),
    ):
        status, data = told(guarded, put(JOB, token, *headers))
        assert status == 403, data
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    path = f"/v1/client/allocation/{guarded.names['allocation']}/exec?task=t&command=%5B%22true%22%5D"
    for headers in ((own, "Origin: http://evil.example"), ("Host: rebound.example", "Origin: http://rebound.example")):
        head = "\r\n".join((f"GET {path} HTTP/1.1", token, *headers, *upgrade, "", ""))
        assert told(guarded, head.encode())[0] == 403
    assert guarded.call("GET", "/v1/job/attacked", None, guarded.management)[0] == 404
    assert told(guarded, put(JOB, token, own))[0] == 200
    assert guarded.call("DELETE", "/v1/job/attacked?purge=true", None, guarded.management)[0] == 200


def test_s12_a_token_in_a_trailer_is_none_and_two_are_refused(guarded: Guarded) -> None:
    head = b"PUT /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunk = b"%x\r\n%b\r\n0\r\nX-Nomad-Token: %b\r\n\r\n" % (len(JOB), JOB, guarded.management.encode())
    assert told(guarded, head + chunk)[0] == 403
    twice = (f"X-Nomad-Token: {guarded.management}",) * 2
    assert told(guarded, put(JOB, "Host: localhost", *twice))[0] == 400
    assert guarded.call("GET", "/v1/job/attacked", None, guarded.management)[0] == 404


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /v1/status/leader HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"GET /v1/status/leader HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v1/status/leader\r\n\r\n", 400),
        (b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
    ],
    ids=["2.0", "none", "two", "0.9", "fine"],
)
def test_s19_strange_heads_are_refused(guarded: Guarded, sent: bytes, expected: int) -> None:
    status, data = told(guarded, sent)
    assert status == expected, data
    if expected == 200:
        assert b"x-content-type-options: nosniff" in data and b"content-security-policy: sandbox" in data


def test_s17_absurd_numbers_are_the_clients_mistake(guarded: Guarded) -> None:
    nines = "9" * 5000
    for path in (
        f"/v1/evaluations?next_token={nines}.x",
        f"/v1/service/web?choose={nines}|x",
        f"/v1/jobs?wait={nines}",
    ):
        status, text = guarded.call("GET", path, None, guarded.management)
        assert status in (200, 400) and "internal error" not in str(text), path
    token = f"X-Nomad-Token: {guarded.management}"
    priority = b'{"Job":{"ID":"a","Priority":%b}}' % (b"9" * 100_000)
    deep = b'{"Unknown":' + b"[" * 400_000 + b"]" * 400_000 + b"}"
    assert told(guarded, put(priority, "Host: localhost", token))[0] == 400
    line = "PUT /v1/agent-rpc/Node.UpdateAlloc HTTP/1.1"
    assert told(guarded, put(deep, "Host: localhost", token, line=line))[0] == 400
    assert "Traceback" not in guarded.server.log()


@pytest.mark.parametrize("acl", [True, False], ids=["acl", "open"])
def test_s8_ninety_uploads_leave_no_memory_behind(tmp_path: Path, acl: bool) -> None:
    with single(tmp_path, limits={"http_max_conns_per_client": 0}, acl={"enabled": acl}) as server:
        before = resident_mb(server)
        ended = threading.Event()
        ended.set()  # one round
        answers = upload(server.http_port, ended)
        assert answers.get(403 if acl else 429, 0) > (UPLOADS - 1 if acl else UPLOADS // 3), answers
        peak = int(Path(f"/proc/{server.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) >> 10
        assert peak - before < (GROWN_MB_MAX if acl else 3 * ROOM_MB), peak
        assert resident_mb(server) - before < 2 * GROWN_MB_MAX
        assert server.request("GET", "/v1/status/leader")[0] == 200
