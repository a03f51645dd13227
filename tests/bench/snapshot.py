"""What snapshots cost while the server goes on, and how fast a follower catches up: `python -m tests.bench.snapshot`.

python -m tests.bench.snapshot [NAME...]    # delay, catch_up, install
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.load import Measured, measure, prepared
from tests.bench.product import line, registration
from tests.bench.store import puts, row_set
from tests.process.servers import ServerProcess, cluster, leader_of, single, small_job, wait_for
from yurt.fsm.machine import Machine
from yurt.fsm.structs.base import replace
from yurt.server.cli.client import Client
from yurt.server.snapshot.archive import pack

JOBS = 100_000
BEHIND = 100_000
INSTALLED = 30_000
SECONDS = 12.0
OFTEN = {"raft_snapshot_threshold": 200, "raft_snapshot_interval": "1s"}
NEVER = {"raft_snapshot_threshold": 10**9}


def archive(directory: Path, count: int) -> Path:
    """A saved state with so many jobs."""
    machine = Machine()
    rows = [row_set(number) for number in range(count)]
    put = puts(machine, [(*one[:3], replace(one[3], status="complete")) for one in rows])
    for number in range(count):
        put(number)
    path = directory / "state.snap"
    with path.open("wb") as target:
        pack({"Version": 1}, machine.write(machine.capture()), io.BytesIO(), target)
    return path


def raft_stats(server: ServerProcess) -> dict[str, Any]:
    """The counters of its engine."""
    stats: dict[str, Any] = server.request("GET", "/v1/agent/self")[1]["stats"]["raft"]
    return stats


def requests(number: int) -> bytes:
    """Reads and writes by turns."""
    return registration(number, "probe") if number % 2 else prepared("GET", f"/v1/job/job-{number:07d}")


def restored(server: ServerProcess, saved: Path, jobs: int = JOBS) -> None:
    """Bring the state in."""
    started = time.perf_counter()
    with saved.open("rb") as source:
        Client(address=server.address).upload("/v1/operator/snapshot", source)
    megabytes = saved.stat().st_size / 1e6
    line(f"restore {jobs:,} jobs", f"{time.perf_counter() - started:.1f} s", "", f"a file of {megabytes:.0f} MB")


def told(name: str, found: Measured, target: str, detail: str) -> None:
    """One row: the slowest answers."""
    worst, late = max(found.latencies) * 1000, found.quantile(0.999)
    line(name, f"worst {worst:.0f} ms, p99.9 {late:.0f} ms", target, f"{found.rate:,.0f}/s; {detail}")


def delay(directory: Path) -> None:
    """The slowest of reads and writes with and without snapshots of 100,000 jobs, and while a backup is taken."""
    saved = archive(directory, JOBS)
    for name, block in (("without snapshots", NEVER), ("during snapshots", OFTEN)):
        config = {"enabled": True, "bootstrap_expect": 1, **block}
        with single(directory / name.replace(" ", "-"), server=config) as server:
            restored(server, saved)
            before = int(raft_stats(server)["snapshots_written"])
            found = measure([server], requests, seconds=SECONDS, connections=4)
            written = int(raft_stats(server)["snapshots_written"]) - before
            assert found.failed == 0
            target = "≤ 100 ms more than without" if written else ""
            told(f"reads and writes, 4 clients, {name} of {JOBS:,} jobs", found, target, f"{written} snapshots")
            if block is NEVER:
                backup(directory, server)


def backup(directory: Path, server: ServerProcess) -> None:
    """The same while the state is saved over the API."""
    times: list[float] = []

    def save() -> None:
        for _ in range(2):
            started = time.perf_counter()
            with (directory / "saved").open("wb") as target:
                Client(address=server.address).download("/v1/operator/snapshot", target)
            times.append(time.perf_counter() - started)

    thread = threading.Thread(target=save)
    thread.start()
    found = measure([server], requests, seconds=SECONDS, connections=4)
    thread.join()
    told("the same while the state is saved", found, "", f"saved twice in {sum(times):.1f} s")


def catch_up(directory: Path) -> None:
    """A follower that was away for 100,000 commands, while the leader serves."""
    with cluster(directory) as servers:
        leader = leader_of(servers)
        follower = next(one for one in servers if one is not leader)
        follower.kill()
        base = int(raft_stats(leader)["applied_index"])
        written = 0
        while written < BEHIND:
            written += measure([leader], lambda n, w=written: registration(n + w, "away"), seconds=5).answers  # type: ignore[misc]
        entries = int(raft_stats(leader)["applied_index"]) - base
        stop = threading.Event()

        def serve() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                leader.request("GET", f"/v1/job/away-{number}")
                time.sleep(0.01)

        thread = threading.Thread(target=serve)
        thread.start()
        follower.start()
        wait_for(lambda: follower.answers("/v1/status/leader?stale"), 60, "listening")
        started = time.perf_counter()
        goal = int(raft_stats(leader)["applied_index"])
        wait_for(lambda: int(raft_stats(follower)["applied_index"]) >= goal, 300, "caught up")
        seconds = time.perf_counter() - started
        stop.set()
        thread.join()
        by = raft_stats(follower)
        how = f"{entries:,} entries, snapshot {by['last_snapshot_index']}, {seconds:.1f} s"
        line(f"a follower {written:,} commands behind", f"{written / seconds:,.0f} commands/s", "≥ 6,000/s", how)


def install(directory: Path) -> None:
    """A follower that needs a snapshot of 30,000 jobs, while the leader serves."""
    saved = archive(directory, INSTALLED)
    block = {"raft_snapshot_threshold": 20, "raft_snapshot_interval": "100ms", "raft_trailing_logs": 5}
    with cluster(directory, server=block) as servers:
        leader = leader_of(servers)
        follower = next(one for one in servers if one is not leader)
        follower.kill()
        restored(leader, saved, INSTALLED)
        goal, number = int(raft_stats(leader)["snapshots_written"]) + 2, 0

        def wanted() -> bool:
            nonlocal number
            number += 1
            leader.request("PUT", "/v1/jobs", small_job(f"more-{number}"))
            return int(raft_stats(leader)["snapshots_written"]) >= goal

        wait_for(wanted, 120, "the log is let go")
        follower.start()
        found = measure([leader], requests, seconds=SECONDS, connections=4)
        wait_for(lambda: int(raft_stats(follower)["last_snapshot_index"]), 60, "installed")
        told("reads and writes on the leader while it sends a snapshot", found, "", _installed(follower))
        wait_for(lambda: follower.request("GET", "/v1/job/more-1?stale")[0] == 200, 60, "the state is there")


def _installed(server: ServerProcess) -> str:
    """How long it took from the announcement on."""
    seen = [json.loads(one) for one in server.log().splitlines() if '"@module":"raft.snapshots"' in one]
    begun = next(one for one in seen if one["@message"] == "receiving a snapshot")
    done = next(one for one in seen if one["@message"] == "snapshot installed")
    seconds = datetime.fromisoformat(done["@timestamp"]) - datetime.fromisoformat(begun["@timestamp"])
    return f"{begun['bytes'] / 1e6:.0f} MB installed after {seconds.total_seconds():.1f} s"


BENCHES = {"delay": delay, "catch_up": catch_up, "install": install}


def main() -> None:
    """Run the benches named on the command line, or all."""
    print("| what | measured | target | detail |\n|---|---|---|---|")
    for name in sys.argv[1:] or BENCHES:
        with tempfile.TemporaryDirectory() as directory:
            BENCHES[name](Path(directory))


if __name__ == "__main__":
    main()
