"""/v1/operator/snapshot and /v1/operator/state on a real server."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, free_ports, small_job, wait_for


def raw(server: ServerProcess, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of its own: a restore would take the other tests' jobs away."""
    directory: Path = tmp_path_factory.mktemp("snapshot")
    one = ServerProcess(directory, "snapshot", *free_ports(2))
    try:
        yield one.start("-dev").wait_ready()
    finally:
        one.end()


def register(server: ServerProcess, job_id: str) -> int:
    status, body = server.request("PUT", "/v1/jobs", small_job(job_id))
    assert status == 200, body
    return int(body["JobModifyIndex"])


def test_a_saved_state_says_its_digest(own: ServerProcess) -> None:
    for path in ("/v1/operator/snapshot", "/v1/operator/snapshot?stale"):
        status, headers, body = raw(own, "GET", path)
        assert (status, headers["content-type"]) == (200, "application/x-gzip")
        assert headers["digest"] == "sha-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert int(headers["content-length"]) == len(body)


def test_indexes_go_on_and_waiting_clients_wake(own: ServerProcess, fresh_id: Callable[[], str]) -> None:
    kept, gone = fresh_id(), fresh_id()
    first = register(own, kept)
    saved = raw(own, "GET", "/v1/operator/snapshot")[2]
    register(own, gone)
    time.sleep(0.3)  # its evaluation is worked on
    last = int(raw(own, "GET", f"/v1/job/{gone}")[1]["x-nomad-index"])
    before = int(raw(own, "GET", "/v1/jobs")[1]["x-nomad-index"])

    def wait() -> tuple[int, dict[str, str], bytes]:
        return raw(own, "GET", f"/v1/jobs?index={before}&wait=20s")

    def wait_for_job() -> tuple[int, dict[str, str], bytes]:
        return raw(own, "GET", f"/v1/job/{gone}?index={last}&wait=20s")

    with ThreadPoolExecutor(2) as pool:
        jobs, job = pool.submit(wait), pool.submit(wait_for_job)
        time.sleep(0.3)
        started = time.monotonic()
        assert raw(own, "PUT", "/v1/operator/snapshot", saved)[::2] == (200, b"")
        assert jobs.result(20)[0] == 200 and job.result(20)[0] == 404
        assert time.monotonic() - started < 10, "both were woken"
        assert int(jobs.result()[1]["x-nomad-index"]) > before
        assert int(job.result()[1]["x-nomad-index"]) > last
    assert own.request("GET", f"/v1/job/{kept}")[1]["JobModifyIndex"] == first
    assert own.request("GET", f"/v1/job/{gone}")[0] == 404
    assert register(own, gone) > last + 1


def test_evaluations_of_a_restored_state_are_worked_on(own: ServerProcess, fresh_id: Callable[[], str]) -> None:
    """The leader's duties begin anew."""
    saved = raw(own, "GET", "/v1/operator/snapshot")[2]
    assert raw(own, "PUT", "/v1/operator/snapshot", saved)[0] == 200
    job_id = fresh_id()
    register(own, job_id)
    deadline = time.monotonic() + 10
    while True:
        evaluations = own.request("GET", f"/v1/job/{job_id}/evaluations")[1]
        if evaluations and evaluations[0]["Status"] == "complete":
            return
        assert time.monotonic() < deadline, evaluations
        time.sleep(0.05)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_bad_file_changes_nothing(own: ServerProcess, fresh_id: Callable[[], str], cut: int) -> None:
    job_id = fresh_id()
    index = register(own, job_id)
    saved = raw(own, "GET", "/v1/operator/snapshot")[2]
    middle = len(saved) // 2
    for bad in (saved[:cut], saved[:middle] + bytes([saved[middle] ^ 1]) + saved[middle + 1 :]):
        status, _, body = raw(own, "PUT", "/v1/operator/snapshot", bad)
        assert status == 500 and body.startswith(b"failed to restore from snapshot: ")
    assert own.request("GET", f"/v1/job/{job_id}")[1]["JobModifyIndex"] == index


def test_other_methods_are_refused(own: ServerProcess) -> None:
    for method in ("DELETE", "PATCH", "HEAD"):
        assert raw(own, method, "/v1/operator/snapshot")[0] == 405


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(own: ServerProcess) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", own.http_port)) as connection:
            connection.sendall(
                b"PUT /v1/operator/snapshot HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + bytes(5000)
            )
    with socket.create_connection(("127.0.0.1", own.http_port)) as connection:
        connection.sendall(b"GET /v1/operator/snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n")
    time.sleep(0.3)
    assert raw(own, "GET", "/v1/operator/snapshot")[0] == 200
    wait_for(lambda: not held_files(own), 5, "no file is kept open")


def held_files(server: ServerProcess) -> list[str]:
    """Files of snapshots that the server has open."""
    assert server.process is not None
    found = []
    for path in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(path.readlink()))
    return [path for path in found if "operator-" in path]


def test_the_table_of_sizes(own: ServerProcess, fresh_id: Callable[[], str]) -> None:
    register(own, fresh_id())
    status, body = own.request("GET", "/v1/operator/state")
    found: dict[str, dict[str, Any]] = {row["Table"]: row for row in body}
    assert status == 200
    assert found["jobs"]["Rows"] == len(own.request("GET", "/v1/jobs")[1])
    assert found["jobs"]["Bytes"] > 100 and found["jobs"]["Index"] > 1
    assert found["nodes"] == {"Table": "nodes", "Rows": 0, "Bytes": 0, "Index": 0} or found["nodes"]["Index"] > 0
