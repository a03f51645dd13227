"""Placing on a real server with simulated nodes, and what others notice of it: `python -m tests.bench.placement [NAME...]`.

One durable server, tasks of 10 MHz and 10 MB, nodes that run nothing. While the mixed jobs are placed, one
client reads a job and one registers others; their latencies are the point.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.product import line, resident_mb
from tests.bench.simulated_nodes import simulated_nodes
from tests.process.servers import ServerProcess, single, small_job, wait_for

SERVER = {"enabled": True, "bootstrap_expect": 1, "job_max_count": 0}


def service(job_id: str, count: int, **fields: Any) -> dict[str, Any]:
    """A request to register a job whose allocations fit anywhere; `fields` are of its task's resources."""
    task = {"Name": "t", "Driver": "mock_driver", "Resources": {"CPU": 10, "MemoryMB": 10, **fields}}
    group = {"Name": "g", "Count": count, "Tasks": [task], "EphemeralDisk": {"SizeMB": 110}}
    return {"Job": {"ID": job_id, "TaskGroups": [group], "Update": {"MaxParallel": 0}}}


def register(server: ServerProcess, job_id: str, count: int) -> None:
    """Register one."""
    status, body = server.request("PUT", "/v1/jobs", service(job_id, count))
    assert status == 200, body


def placed(server: ServerProcess, jobs: list[str], seconds: float) -> None:
    """Wait until the last evaluation of each job is complete."""
    for job in jobs:

        def done(job: str = job) -> bool:
            _, found = server.request("GET", f"/v1/job/{job}/evaluations")
            return bool(found) and all(one["Status"] == "complete" for one in found)

        wait_for(done, seconds, f"the placement of {job}")


class Noticed:
    """A client that asks again and again; latencies in milliseconds."""

    def __init__(
        self, server: ServerProcess, ask: Callable[[http.client.HTTPConnection, int], None], pause: float
    ) -> None:
        self.latencies: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(server.http_port, ask, pause))
        self._thread.start()

    def _run(self, port: int, ask: Callable[[http.client.HTTPConnection, int], None], pause: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        number = 0
        while not self._ended.is_set():
            number += 1
            started = time.perf_counter()
            ask(connection, number)
            self.latencies.append((time.perf_counter() - started) * 1000)
            time.sleep(pause)
        connection.close()

    def end(self) -> str:
        """p50, p99 and the worst."""
        self._ended.set()
        self._thread.join()
        ordered = sorted(self.latencies)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(0.99 * (len(ordered) - 1))]
        return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {ordered[-1]:.0f} ms of {len(ordered)}"


def _read(connection: http.client.HTTPConnection, _number: int) -> None:
    connection.request("GET", "/v1/job/read-me")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200


def _write(connection: http.client.HTTPConnection, number: int) -> None:
    connection.request("PUT", "/v1/jobs", body=json.dumps(small_job(f"other-{number}")).encode())
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200


def curve(directory: Path) -> None:
    """One job of 1,000, 10,000 and 100,000 on 1,000 nodes, from the registration to the last commit."""
    for count, target in ((1000, ""), (10_000, "< 2 s"), (100_000, "near-linear")):
        with (
            single(directory / str(count), server=SERVER) as server,
            simulated_nodes(server, 1000, cpu=2_000_000, memory=2_000_000),
        ):
            started = time.perf_counter()
            register(server, "big", count)
            placed(server, ["big"], 120)
            line(f"{count:,} of one job, 1,000 nodes", f"{time.perf_counter() - started:.2f} s", target)


def mixed(directory: Path, jobs: int = 200, count: int = 500, nodes: int = 5000, target: str = "< 30 s") -> None:
    """Many jobs, while others read and write."""
    with single(directory, server=SERVER) as server, simulated_nodes(server, nodes):
        status, _ = server.request("PUT", "/v1/jobs", small_job("read-me"))
        assert status == 200
        reads, writes = Noticed(server, _read, 0.005), Noticed(server, _write, 0.02)
        started = time.perf_counter()
        names = [f"mixed-{number}" for number in range(jobs)]
        for name in names:
            register(server, name, count)
        placed(server, names, 600)
        seconds = time.perf_counter() - started
        line(
            f"{jobs * count:,} of {jobs:,} jobs, {nodes:,} nodes",
            f"{seconds:.1f} s",
            target,
            f"{resident_mb(server):,.0f} MB",
        )
        line("reads of a job meanwhile", reads.end(), "p99 < 50 ms")
        line("registrations meanwhile", writes.end(), "p99 < 250 ms")


def c1m(directory: Path) -> None:
    """The shape of a million."""
    mixed(directory, jobs=1000, count=1000, nodes=5000, target="60 s, 8 GB")


BENCHES: dict[str, Any] = {"curve": curve, "mixed": mixed, "c1m": c1m}


def main() -> None:
    """Run those named, or all but the million."""
    print("| what | measured | target | detail |\n|---|---|---|---|")
    for name in sys.argv[1:] or ["curve", "mixed"]:
        with tempfile.TemporaryDirectory() as directory:
            BENCHES[name](Path(directory))


if __name__ == "__main__":
    main()
