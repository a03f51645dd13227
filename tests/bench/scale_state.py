"""What a large state costs where it changes hands: `python -m tests.bench.scale_state [--jobs N] [NAME...]`.

    restore    into three servers: does it answer truthfully, how long does a server stand still, who leads afterwards
    collect    a garbage collection of all evaluations on one server
    restart    CPU seconds and time until HTTP answers; memory a job; the collector's pauses

With PYTHONPATH=OTHER/src the servers are those of another checkout, so that before and after are the same bench.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.snapshot import archive, raft_stats
from tests.process.servers import ServerProcess, cluster, leader_of, single
from yurt.server.cli.client import Client

PROBE_SECONDS = 0.02
TICKS = os.sysconf("SC_CLK_TCK")
STORED = {"raft_snapshot_threshold": 1, "raft_snapshot_interval": "1s"}


def line(name: str, figure: str, detail: str = "") -> None:
    """One row of the table."""
    print(f"| {name} | {figure} | {detail} |", flush=True)


def cpu_seconds(server: ServerProcess) -> float:
    """The processor time that a server has used."""
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(server: ServerProcess) -> int:
    """The memory that a server holds."""
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Probe:
    """Asks a server for something that costs nothing, over and over: its slowest answer is its longest stall."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.worst = 0.0
        self.failures = 0

    def _run(self) -> None:
        while not self._ended.wait(PROBE_SECONDS):
            started = time.perf_counter()
            try:
                self._server.request("GET", "/v1/agent/health?stale", timeout=60)
            except OSError:
                self.failures += 1
            self.worst = max(self.worst, time.perf_counter() - started)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join()


@contextmanager
def probed(servers: list[ServerProcess]) -> Iterator[list[Probe]]:
    """Probe all servers meanwhile."""
    probes = [Probe(server) for server in servers]
    for probe in probes:
        probe.start()
    try:
        yield probes
    finally:
        for probe in probes:
            probe.stop()


def put_back(server: ServerProcess, saved: Path) -> str:
    """Restore an archive; what the server said of it, empty if it was done."""
    try:
        with saved.open("rb") as source:
            Client(address=server.address).upload("/v1/operator/snapshot", source)
    except Exception as error:  # noqa: BLE001 (whatever it says is the figure)
        return str(error)
    return ""


def gauge(server: ServerProcess, name: str) -> float | None:
    """A gauge of its metrics, None if it has none of that name."""
    gauges = server.request("GET", "/v1/metrics")[1]["Gauges"]
    return next((one["Value"] for one in gauges if one["Name"] == name), None)


def pauses(server: ServerProcess) -> str:
    """The longest pause for the collector."""
    longest = gauge(server, "yurt.collector.pause_max")
    return "no figure" if longest is None else f"{longest:.1f} ms"


def restore(directory: Path, jobs: int) -> None:
    """Into three servers, through the leader."""
    saved = archive(directory, jobs)
    with cluster(directory) as servers:
        leader = leader_of(servers)
        term = raft_stats(leader)["term"]
        started = time.perf_counter()
        with probed(servers) as probes:
            said = put_back(leader, saved)
            seconds = time.perf_counter() - started
            after = leader_of(servers)
        changed = "same leader" if after is leader and raft_stats(after)["term"] == term else "ANOTHER TERM"
        stalls = ", ".join(f"{probe.worst * 1000:,.0f}" for probe in probes)
        line(f"restore {jobs:,} jobs into three servers", f"{seconds:.1f} s", f"{said or 'done'}; {changed}")
        line("slowest answers of the servers meanwhile", f"{stalls} ms", f"collector {pauses(leader)}")


def collect(directory: Path, jobs: int) -> None:
    """All evaluations of one server, by `PUT /v1/system/gc`."""
    saved = archive(directory, jobs)
    with single(directory, server={"enabled": True, "bootstrap_expect": 1}) as server:
        put_back(server, saved)
        before = rows(server, "evals")
        with probed([server]) as [probe]:
            started = time.perf_counter()
            server.request("PUT", "/v1/system/gc", timeout=600)
            while (left := rows(server, "evals")) and time.perf_counter() < started + 300:
                if left == before and time.perf_counter() > started + 60:
                    break
                time.sleep(0.5)
            seconds = time.perf_counter() - started
        line(f"garbage of {before:,.0f} evaluations", f"{seconds:.1f} s", f"{left:,.0f} left")
        line("slowest answer meanwhile", f"{probe.worst * 1000:,.0f} ms", f"collector {pauses(server)}")


def rows(server: ServerProcess, table: str) -> float:
    """How many rows a table has."""
    gauges: list[dict[str, Any]] = server.request("GET", "/v1/metrics", timeout=60)[1]["Gauges"]
    found = (one for one in gauges if one["Name"] == "yurt.state.rows" and one["Labels"].get("table") == table)
    return float(next(found)["Value"])


def restart(directory: Path, jobs: int) -> None:
    """One server, stopped and started again."""
    with single(directory / "empty", server={"enabled": True, "bootstrap_expect": 1}) as server:
        empty = resident_bytes(server)
    saved = archive(directory, jobs)
    with single(directory / "full", server={"enabled": True, "bootstrap_expect": 1, **STORED}) as server:
        put_back(server, saved)
        server.request("PUT", "/v1/jobs", {"Job": {"ID": "one-more", "TaskGroups": []}})
        wanted, until = int(raft_stats(server)["applied_index"]), time.perf_counter() + 120
        while int(raft_stats(server)["last_snapshot_index"]) < wanted and time.perf_counter() < until:
            time.sleep(0.5)
        server.stop()
        started = time.perf_counter()
        server.start()
        while not server.answers("/v1/status/leader?stale"):
            time.sleep(0.05)
        seconds, used = time.perf_counter() - started, cpu_seconds(server)
        line(f"restart with {jobs:,} jobs until HTTP answers", f"{used:.1f} s CPU", f"{seconds:.1f} s")
        server.wait_ready()
        line("memory a job", f"{(resident_bytes(server) - empty) / jobs / 1000:.1f} KB", f"{empty / 1e6:.0f} MB empty")
        line("collector's longest pause since", pauses(server))


BENCHES = {"restore": restore, "collect": collect, "restart": restart}


def main() -> None:
    """Run the benches that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    given = parser.parse_args()
    print("| what | measured | detail |\n|---|---|---|")
    for name in given.names or BENCHES:
        with tempfile.TemporaryDirectory() as directory:
            BENCHES[name](Path(directory), given.jobs)


if __name__ == "__main__":
    main()
