"""Waiting queries on a long list: thousands of them cost no copies of it, neither while they wait nor afterwards."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.bench.snapshot import archive, restored
from tests.process.servers import ServerProcess, single, small_job, wait_for

JOBS = 4000  # a list of more than 2 MB
WAITERS = 400
WAITER_BYTES_MAX = 30 << 10  # with its connection; a copy of the list would be a hundred times as much
UNREAD_BYTES_MAX = 120 << 20  # a copy each would be 900 MB


def resident(server: ServerProcess) -> int:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(row for row in status.splitlines() if row.startswith("VmRSS")).split()[1]) * 1024


def waiting(server: ServerProcess, path: str) -> socket.socket:
    """A connection with a request, of whose answer nothing is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.http_port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def count_waiting(server: ServerProcess) -> int:
    gauges = server.request("GET", "/v1/metrics")[1]["Gauges"]
    return int(next(row["Value"] for row in gauges if row["Name"] == "yurt.http.blocking_queries"))


@pytest.mark.slow
def test_s3_waiting_queries_on_a_long_list_hold_no_bodies(tmp_path: Path) -> None:
    with single(tmp_path / "one") as server:
        restored(server, archive(tmp_path, JOBS), JOBS)
        settled = server.request("PUT", "/v1/jobs", small_job("first"))[1]["JobModifyIndex"]
        wait_for(lambda: server.request("GET", "/v1/job/first")[1]["Status"] == "dead", 20, "evaluated")
        assert len(server.request("GET", "/v1/jobs")[1]) == JOBS + 1
        index = server.request("GET", "/v1/job/first")[1]["ModifyIndex"]
        assert index >= settled
        before = resident(server)
        waiters = [waiting(server, f"/v1/jobs?index={index}&wait=120s") for _ in range(WAITERS)]
        wait_for(lambda: count_waiting(server) == WAITERS, 60, "waiting")
        assert resident(server) - before < WAITERS * WAITER_BYTES_MAX
        before = resident(server)
        assert server.request("PUT", "/v1/jobs", small_job("second"))[0] == 200
        wait_for(lambda: count_waiting(server) == 0, 60, "woken")
        for number in range(20):  # the state moves on while nobody reads
            assert server.request("PUT", "/v1/jobs", small_job(f"later-{number}"))[0] == 200
            assert resident(server) - before < UNREAD_BYTES_MAX
        assert len(server.request("GET", "/v1/jobs?prefix=job-000000")[1]) == 10, "others are served"
        for connection in waiters:
            connection.close()
