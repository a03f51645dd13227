"""A server full of jobs while one client asks for everything: `python -m tests.bench.scale`.

python -m tests.bench.scale [--jobs N] [--waiters N] [--seconds S]

One server is filled with so many jobs and evaluations. For each kind of long request it is asked in turn, while other
clients read single jobs and register jobs: the table says how late these were. Then the pages that must be short, and
what a waiting query costs in memory while jobs change.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.bench.snapshot import archive, restored
from tests.bench.store import line
from tests.process.servers import ServerProcess, single, small_job

LONG: tuple[tuple[str, str, str, dict[str, Any] | None], ...] = (
    ("nothing else", "", "", None),
    ("GET /v1/jobs", "GET", "/v1/jobs", None),
    ("GET /v1/evaluations", "GET", "/v1/evaluations", None),
    ("GET /v1/jobs/statuses", "GET", "/v1/jobs/statuses", None),
    ("a filter of jobs", "GET", "/v1/jobs?filter=Priority+%3D%3D+99", None),
    ("a filter of evaluations", "GET", "/v1/evaluations?filter=Status+%3D%3D+%22blocked%22", None),
    ("a count of evaluations", "GET", "/v1/evaluations/count", None),
    ("evaluations by status", "GET", "/v1/evaluations?status=blocked", None),
    ("scaling policies", "GET", "/v1/scaling/policies", None),
    ("a search", "POST", "/v1/search", {"Prefix": "", "Context": "all"}),
    ("a fuzzy search", "POST", "/v1/search/fuzzy", {"Text": "zz", "Context": "all"}),
)
SHORT = ("/v1/jobs?per_page=25", "/v1/evaluations?per_page=25", "/v1/jobs/statuses?per_page=25")
ASK = """
import http.client, sys, time
host, port, method, path, body, seconds = sys.argv[1:]
until, count, size, longest = time.perf_counter() + float(seconds), 0, 0, 0.0
while not count or time.perf_counter() < until:
    started = time.perf_counter()
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.request(method, path, body=body or None)
    answer = connection.getresponse()
    size = 0
    while part := answer.read(1 << 20):
        size += len(part)
    assert answer.status == 200, answer.status
    connection.close()
    count, longest = count + 1, max(longest, time.perf_counter() - started)
print(size, longest)
"""


class Asking(threading.Thread):
    """One client that asks again and again, a few milliseconds after each answer, and notes how long each took."""

    def __init__(self, server: ServerProcess, method: str, *, name: str = "") -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
        self.method, self.job = method, name
        self.latencies: list[float] = []
        self.is_ended = False
        self.start()

    def run(self) -> None:
        """Ask until it is ended."""
        number = 0
        while not self.is_ended:
            number += 1
            body = json.dumps(small_job(f"{self.job}-{number % 50}")) if self.method == "PUT" else None
            path = "/v1/jobs" if body else f"/v1/job/{self.job}"
            started = time.perf_counter()
            self.connection.request(self.method, path, body=body)
            self.connection.getresponse().read()
            self.latencies.append(time.perf_counter() - started)
            time.sleep(0.003)

    def end(self) -> str:
        """Stop; how late the answers were."""
        self.is_ended = True
        self.join()
        self.connection.close()
        ordered = sorted(self.latencies)
        late = ordered[int(0.99 * (len(ordered) - 1))]
        return f"p99 {late * 1000:.1f}, worst {ordered[-1] * 1000:.0f} ms"


def disturb(server: ServerProcess, seconds: float, job: str) -> None:
    """How late reads and registrations are during each kind of long request."""
    for title, method, path, body in LONG:
        reads, writes = Asking(server, "GET", name=job), Asking(server, "PUT", name="written")
        if method:
            sent = json.dumps(body) if body is not None else ""
            asked = [sys.executable, "-c", ASK, "127.0.0.1", str(server.http_port), method, path, sent, str(seconds)]
            size, longest = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
            detail = f"{int(size) / 1e6:.1f} MB in {float(longest):.2f} s"
        else:
            time.sleep(seconds)
            detail = ""
        line(title, f"reads {reads.end()}; registrations {writes.end()}", "p99 < 15; < 60 ms", detail)


def short(server: ServerProcess) -> None:
    """Pages cost a page."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    for path in SHORT:
        took = []
        for number in range(21):
            started = time.perf_counter()
            connection.request("GET", f"{path}&n={number}")  # no two are equal
            connection.getresponse().read()
            took.append(time.perf_counter() - started)
        line(path, f"{sorted(took)[10] * 1000:.1f} ms", "< 5 ms", f"worst of 21: {max(took) * 1000:.1f} ms")
    connection.close()


def resident(server: ServerProcess) -> int:
    """The bytes that the server has in memory."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(row for row in status.splitlines() if row.startswith("VmRSS")).split()[1]) * 1024


def connections(server: ServerProcess, count: int, path: str) -> list[socket.socket]:
    """So many connections, each with a request that was answered or waits."""
    opened = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", server.http_port))
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        opened.append(one)
    time.sleep(3)
    return opened


def waiters(server: ServerProcess, count: int) -> None:
    """What a waiting query on a long list costs, and what all of them cost while jobs change."""
    idle = connections(server, 500, "/v1/status/leader")
    before = resident(server)
    more = connections(server, 500, "/v1/status/leader")
    connected = (resident(server) - before) / 500
    for one in (*idle, *more):
        one.close()
    time.sleep(1)
    index = _index(server)
    before = resident(server)
    waiting = connections(server, count, f"/v1/jobs?index={index + 1000}&wait=300s")
    cost = (resident(server) - before) / count
    line(f"memory of {count:,} waiters on /v1/jobs", f"{cost / 1024:.1f} KB each", "< 4 KB",
         f"a connection that has asked: {connected / 1024:.1f} KB")  # fmt: skip
    highest, until, number = 0, time.monotonic() + 10, 0
    writer = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    slowest = 0.0
    while time.monotonic() < until:
        number += 1
        started = time.perf_counter()
        writer.request("PUT", "/v1/jobs", body=json.dumps(small_job(f"changed-{number % 20}")))
        writer.getresponse().read()
        slowest = max(slowest, time.perf_counter() - started)
        highest = max(highest, resident(server))
        time.sleep(0.05)
    line("the same while jobs change", f"{(highest - before) / 1e6:.0f} MB more at most", "flat",
         f"{number} registrations, the slowest {slowest * 1000:.0f} ms")  # fmt: skip
    for one in waiting:
        one.close()


def _index(server: ServerProcess) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    connection.request("GET", "/v1/jobs?per_page=1")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return int(answer.headers["X-Nomad-Index"])


def main() -> None:
    """Everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--waiters", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=8.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        saved = archive(directory, given.jobs)
        limits = {"http_max_conns_per_client": 0}
        with single(directory / "one", limits=limits) as server:
            restored(server, saved, given.jobs)
            short(server)
            disturb(server, given.seconds, "job-0000001")
            waiters(server, given.waiters)


if __name__ == "__main__":
    main()
