"""Figures of three servers, from real processes on this machine: `python -m tests.bench.raft [NAME...]`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.load import measure
from tests.bench.product import always, line, registration, show
from tests.process.servers import ServerProcess, cluster, leader_of, small_job

SECONDS = 5.0
KILLS = 50


def writes(directory: Path) -> None:
    """Registrations on the leader of three, each synced on a majority."""
    with cluster(directory) as servers:
        leader = leader_of(servers)
        measure([leader], lambda n: registration(n, "warm"), seconds=1)
        many = measure([leader], lambda n: registration(n, "job"), seconds=SECONDS)
        show("registrations, 3 servers, 64 clients", many, "≥ 3,000/s")
        one = measure([leader], lambda n: registration(n, "one"), seconds=SECONDS, connections=1)
        show("registrations, 3 servers, one client", one, "≥ 250/s")


def reads(directory: Path) -> None:
    """Linearizable reads of one job: by the lease, by quorum rounds, on followers."""
    with cluster(directory) as servers:
        leader = leader_of(servers)
        followers = [one for one in servers if one is not leader]
        leader.request("PUT", "/v1/jobs", small_job("read"))
        path = "/v1/job/read"
        show("default reads, leader", measure([leader], always(path), seconds=SECONDS), "")
        show("consistent reads, leader", measure([leader], always(path + "?consistent"), seconds=SECONDS), "≥ 5,000/s")
        show("default reads, one follower", measure(followers[:1], always(path), seconds=SECONDS), "")
        show("default reads, both followers", measure(followers, always(path), seconds=SECONDS), "")
        show("default reads, all three", measure(servers, always(path), seconds=SECONDS), "")
        show("stale reads, one follower", measure(followers[:1], always(path + "?stale"), seconds=SECONDS), "")


def first_write(server: ServerProcess, name: str) -> float:
    """Seconds until a write through this server is acknowledged."""
    started = time.perf_counter()
    while True:
        try:
            if server.request("PUT", "/v1/jobs", small_job(name), timeout=10)[0] == 200:
                return time.perf_counter() - started
        except OSError:
            continue


def failover(directory: Path) -> None:
    """kill -9 of the leader until another server acknowledges a write."""
    with cluster(directory) as servers:
        seconds = []
        for number in range(KILLS):
            time.sleep(0.7)
            leader = leader_of(servers)
            other = next(one for one in servers if one is not leader)
            leader.kill()
            seconds.append(first_write(other, f"after-{number}"))
            leader.start().wait_ready()
        line(
            f"leader killed to the next write, {KILLS} times",
            f"median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s",
            "< 1.0 s, < 2.5 s",
        )


def restart(directory: Path) -> None:
    """A clean stop of the leader: how long no write is acknowledged."""
    with cluster(directory) as servers:
        gaps = []
        for number in range(6):
            time.sleep(0.7)
            leader = leader_of(servers)
            other = next(one for one in servers if one is not leader)
            assert leader.process is not None
            last, worst, turn = time.perf_counter(), 0.0, 0
            leader.process.terminate()
            while leader.process.poll() is None or turn < 50:
                first_write(other, f"restart-{number}-{turn}")
                now = time.perf_counter()
                worst, last, turn = max(worst, now - last), now, turn + 1
            gaps.append(worst)
            leader.start().wait_ready()
        line("leader stopped: writes pause", f"worst of 6: {max(gaps) * 1000:.0f} ms", "< 300 ms")


BENCHES = {"writes": writes, "reads": reads, "failover": failover, "restart": restart}


def main() -> None:
    """Run the benches named on the command line, or all."""
    print("| what | measured | target | detail |\n|---|---|---|---|")
    for name in sys.argv[1:] or BENCHES:
        with tempfile.TemporaryDirectory() as directory:
            BENCHES[name](Path(directory))


if __name__ == "__main__":
    main()
