"""Bodies above a chunk on real servers, over HTTP and HTTPS: the same bytes however they are sent."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, free_ports, small_job, wait_for
from tests.process.tls_files import Files
from yurt.server.http.asgi.bodies import CHUNK_BYTES

PATH = "/v1/jobs?prefix=long-"
JOBS = 500


class HttpsServer(ServerProcess):
    """A server whose API speaks TLS."""

    trust: ssl.SSLContext

    def connection(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.http_port, timeout=timeout, context=self.trust)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory: Path = tmp_path_factory.mktemp("https")
    files = Files(directory)
    http_port, rpc_port = free_ports(2)
    one = HttpsServer(directory, "https", http_port, rpc_port, tls=files.tls(http=True, verify_https_client=False))
    one.trust = files.context(None)
    try:
        yield one.start("-dev").wait_ready()
    finally:
        one.end()


@pytest.fixture(scope="module", params=["server", "secure"], ids=["http", "https"])
def filled(request: pytest.FixtureRequest) -> ServerProcess:
    """A server with a list of jobs that is some chunks long."""
    server: ServerProcess = request.getfixturevalue(request.param)
    for number in range(JOBS):
        status, _ = server.request("PUT", "/v1/jobs", small_job(f"long-{number:03d}", Meta={"ü": "x" * 50}))
        assert status == 200
    wait_for(lambda: all(row["Status"] == "dead" for row in server.request("GET", PATH)[1]), 20, "evaluated")
    return server


def get(
    server: ServerProcess, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = server.connection(30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def rows(body: bytes) -> list[Any]:
    found: list[Any] = json.loads(body)
    return found


def test_a_long_list_comes_in_chunks_with_its_headers_first(filled: ServerProcess) -> None:
    answer, body = get(filled, PATH)
    assert len(body) > 2 * CHUNK_BYTES
    assert answer.getheader("transfer-encoding") == "chunked" and answer.getheader("content-length") is None
    assert answer.getheader("content-type") == "application/json"
    assert int(answer.getheader("x-nomad-index", "0")) > 0 and answer.getheader("x-nomad-knownleader") == "true"
    pages, token = b"", ""
    while True:
        page, part = get(filled, f"{PATH}&per_page=50&next_token={token}")
        assert page.getheader("content-length") == str(len(part)), "a page is no long body"
        pages += part[1:-1]
        token = page.getheader("x-nomad-nexttoken") or ""
        if not token:
            break
        pages += b","
    assert body == b"[" + pages + b"]"


@pytest.mark.parametrize(("encoding", "unpack"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_a_long_list_is_compressed_as_it_comes(filled: ServerProcess, encoding: str, unpack: Any) -> None:
    plain = get(filled, PATH)[1]
    answer, body = get(filled, PATH, **{"Accept-Encoding": encoding})
    assert answer.getheader("content-encoding") == encoding
    assert unpack(body) == plain
    assert len(body) < len(plain) / 3


def test_a_long_list_is_indented_like_any_json(filled: ServerProcess) -> None:
    plain, pretty = get(filled, PATH)[1], get(filled, f"{PATH}&pretty")[1]
    assert pretty == json.dumps(rows(plain), indent=4, ensure_ascii=False).encode() + b"\n"


def raw(server: ServerProcess, request: bytes) -> bytes:
    """All bytes until the server closes the connection."""
    connection = server.connection(30)
    connection.connect()
    try:
        connection.sock.sendall(request)
        found = b""
        while part := connection.sock.recv(1 << 16):
            found += part
    finally:
        connection.close()
    return found


def test_http_1_0_gets_the_body_as_it_is_until_the_end_of_the_connection(filled: ServerProcess) -> None:
    head, _, body = raw(filled, f"GET {PATH} HTTP/1.0\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head and b"content-length" not in head
    assert body == get(filled, PATH)[1]


def test_a_connection_goes_on_after_a_long_body(filled: ServerProcess) -> None:
    connection = filled.connection(30)
    for _ in range(3):
        connection.request("GET", PATH)
        assert len(rows(connection.getresponse().read())) == JOBS
        connection.request("GET", "/v1/status/leader")
        assert connection.getresponse().read()
    connection.close()


def test_a_long_list_that_was_waited_for_is_the_new_one(filled: ServerProcess) -> None:
    index = int(get(filled, f"{PATH}&per_page=1")[0].getheader("x-nomad-index", "0"))
    connection = filled.connection(30)
    connection.request("GET", f"{PATH}&index={index}&wait=20s")
    assert filled.request("PUT", "/v1/jobs", small_job("long-000", Priority=61))[0] == 200
    answer = connection.getresponse()
    assert int(answer.getheader("x-nomad-index", "0")) > index
    assert len(rows(answer.read())) == JOBS
    connection.close()
