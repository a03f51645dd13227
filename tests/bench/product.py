"""The product's figures, from real processes on this machine: `python -m tests.bench.product [NAME...]`."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.load import Measured, measure, prepared
from tests.process.servers import ServerProcess, cluster, free_ports, leader_of, single, small_job, wait_for

SECONDS = 6.0


def registration(number: int, run: str) -> bytes:
    """A request that registers a new job of count 0."""
    return prepared("PUT", "/v1/jobs", json.dumps(small_job(f"{run}-{number}")).encode())


def line(name: str, figure: str, target: str, detail: str = "") -> None:
    """One row of the table."""
    print(f"| {name} | {figure} | {target} | {detail} |", flush=True)


def show(name: str, run: Measured, target: str, extra: str = "") -> None:
    """A row for requests a second."""
    detail = f"p50 {run.median:.1f} ms, p99 {run.quantile(0.99):.1f} ms, failed {run.failed}"
    line(name, f"{run.rate:,.0f}/s", target, detail + (", " + extra if extra else ""))


def evaluations_settle(server: ServerProcess, seconds: float = 60) -> float:
    """Seconds until no evaluation is pending."""
    started = time.perf_counter()
    path = "/v1/evaluations?per_page=1&filter=Status%20%3D%3D%20%22pending%22"
    wait_for(lambda: server.request("GET", path)[1] == [], seconds, "evaluations done")
    return time.perf_counter() - started


def register_on_one(directory: Path) -> None:
    """Registrations from 64 clients on one server, each synced, its evaluation processed."""
    with single(directory) as server:
        measure([server], lambda n: registration(n, "warm"), seconds=1)
        run = measure([server], lambda n: registration(n, "job"), seconds=SECONDS)
        rest = evaluations_settle(server)
        rate = run.answers / (run.seconds + rest)
        show("registrations, 1 server, 64 clients", run, "≥ 3,500/s", f"{rate:,.0f}/s until the last is evaluated")


def register_on_three(directory: Path) -> None:
    """Registrations from 64 clients on the leader of three, each synced on a majority, its evaluation processed."""
    with cluster(directory) as servers:
        leader = leader_of(servers)
        measure([leader], lambda n: registration(n, "warm"), seconds=1)
        run = measure([leader], lambda n: registration(n, "job"), seconds=SECONDS)
        rest = evaluations_settle(leader)
        rate = run.answers / (run.seconds + rest)
        show("registrations, 3 servers, 64 clients", run, "≥ 2,000/s", f"{rate:,.0f}/s until the last is evaluated")
        spread = measure(servers, lambda n: registration(n, "spread"), seconds=SECONDS)
        show("the same, clients spread over the servers", spread, "")


def reads(directory: Path) -> None:
    """Reads of one job, and pages of 100 of 10,000 jobs."""
    with single(directory) as server:
        count = 10_000
        measure([server], lambda n: registration(n, "job") if n <= count else None, seconds=60)
        evaluations_settle(server)
        show("reads of one job", measure([server], always("/v1/job/job-17"), seconds=SECONDS), "≥ 15,000/s")
        page = measure([server], always("/v1/jobs?per_page=100"), seconds=SECONDS)
        show("a page of 100 of 10,000 jobs", page, "≥ 5,000/s")


def always(path: str) -> Callable[[int], bytes]:
    """The same GET again and again."""
    request = prepared("GET", path)
    return lambda _number: request


def watchers(directory: Path) -> None:
    """One write released to 1,000 blocked watchers, ten times."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with single(directory) as server:
        server.request("PUT", "/v1/jobs", small_job("watched"))
        evaluations_settle(server)
        lasts = asyncio.run(release(server, 1000, 10))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lasts.sort()
    detail = f"worst {lasts[-1] * 1000:.0f} ms; http_max_conns_per_client 0, open files {min(hard, 8192)}"
    line("one write to 1,000 watchers, the last answer", f"{lasts[len(lasts) // 2] * 1000:.0f} ms", "< 80 ms", detail)


async def release(server: ServerProcess, count: int, rounds: int) -> list[float]:
    """Seconds from the write's answer sent to the last watcher's answer, a round each."""
    streams = [await asyncio.open_connection("127.0.0.1", server.http_port) for _ in range(count)]
    lasts = []
    for turn in range(rounds):
        index = server.request("GET", "/v1/job/watched")[1]["ModifyIndex"]
        for _, writer in streams:
            writer.write(prepared("GET", f"/v1/job/watched?index={index}&wait=60s"))
        await asyncio.sleep(1.0)
        started = time.perf_counter()
        write = asyncio.to_thread(server.request, "PUT", "/v1/jobs", small_job("watched", Priority=10 + turn))
        await asyncio.gather(write, *(answer(reader) for reader, _ in streams))
        lasts.append(time.perf_counter() - started)
        await asyncio.sleep(0.2)
    for _, writer in streams:
        writer.close()
    return lasts


async def answer(reader: asyncio.StreamReader) -> None:
    """Read one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.find(b"content-length: ") + 16
    await reader.readexactly(int(head[at : head.find(b"\r\n", at)]))


def many_jobs(directory: Path) -> None:
    """100,000 jobs: memory, and the time from start to serving."""
    count = 100_000
    with single(directory) as server:
        measure([server], lambda n: registration(n, "job") if n <= count else None, seconds=600)
        evaluations_settle(server, 300)
        before = resident_mb(server)
        server.stop()
        started = time.perf_counter()
        server.start().wait_ready()
        seconds = time.perf_counter() - started
        status, body = server.request("GET", "/v1/jobs?per_page=1&reverse=true")
        assert status == 200 and body
        line("100,000 jobs: restart to serving", f"{seconds:.1f} s", "< 15 s")
        detail = f"{before:,.0f} MB before the restart"
        line("100,000 jobs: resident memory", f"{resident_mb(server):,.0f} MB", "< 1,500 MB", detail)


def resident_mb(server: ServerProcess) -> float:
    """Resident memory of a server's process."""
    assert server.process is not None
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def dev_start(directory: Path) -> None:
    """`yurt agent -dev` until it answers a default read."""
    best = 99.0
    for turn in range(3):
        http_port, rpc_port = free_ports(2)
        config = directory / f"{turn}.json"
        config.write_text(json.dumps({"ports": {"http": http_port, "rpc": rpc_port}}))
        server = ServerProcess(directory, "dev", http_port, rpc_port)
        command = [sys.executable, "-m", "yurt.server.cli", "agent", "-dev", "-config", str(config)]
        started = time.perf_counter()
        server.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda server=server: server.answers("/v1/jobs"), 20, "dev agent")
            best = min(best, time.perf_counter() - started)
        finally:
            server.end()
    line("yurt agent -dev: ready", f"{best:.2f} s", "< 1 s", "best of 3")


BENCHES = {
    "dev": dev_start,
    "one": register_on_one,
    "three": register_on_three,
    "reads": reads,
    "watchers": watchers,
    "many": many_jobs,
}


def main() -> None:
    """Run the benches named on the command line, or all."""
    print("| what | measured | target | detail |\n|---|---|---|---|")
    for name in sys.argv[1:] or BENCHES:
        with tempfile.TemporaryDirectory() as directory:
            BENCHES[name](Path(directory))


if __name__ == "__main__":
    main()
