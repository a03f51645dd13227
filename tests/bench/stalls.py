"""How long the loop stands still for each long request: `python -m tests.bench.stalls [--jobs N]`.

One server in this process, full of jobs and evaluations, is asked through its ASGI application. Between two rounds of
the loop the processor time of its thread is taken, not the wall's: other load on the machine does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import uvloop

from tests.bench.store import line, puts, row_set
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import JOB_SUMMARIES, JOBS
from yurt.fsm.structs.base import replace
from yurt.server.config.agent import AgentConfig
from yurt.server.http.asgi.app import App
from yurt.server.http.query.reads import Reads
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics

LONG: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("GET", "/v1/jobs", None),
    ("GET", "/v1/evaluations", None),
    ("GET", "/v1/jobs/statuses", None),
    ("GET", "/v1/jobs/statuses?per_page=25", None),
    ("GET", "/v1/jobs?filter=Priority+%3D%3D+99", None),
    ("GET", "/v1/evaluations?filter=Status+%3D%3D+%22blocked%22", None),
    ("GET", "/v1/evaluations?status=blocked", None),
    ("GET", "/v1/evaluations/count", None),
    ("GET", "/v1/scaling/policies", None),
    ("POST", "/v1/search", {"Prefix": "", "Context": "all"}),
    ("POST", "/v1/search/fuzzy", {"Text": "zz", "Context": "all"}),
    ("GET", "/v1/operator/state", None),
)


def _scope(method: str, path: str, query: str, length: int) -> dict[str, Any]:
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), (b"content-length", b"%d" % length)], "http_version": "1.1",
        "client": ("127.0.0.1", 1),
    }  # fmt: skip


class Rounds:
    """The longest round of the loop, in seconds of processor time."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.count = 0

    async def watch(self) -> None:
        """Take the time in every round."""
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - before)
            self.count += 1
            before = now


async def ask(app: App, method: str, target: str, body: dict[str, Any] | None) -> tuple[Rounds, int, float]:
    """One request: its rounds, the bytes of its body, the processor time in all."""
    path, _, query = target.partition("?")
    sent = json.dumps(body).encode() if body is not None else b""
    scope = _scope(method, path, query, len(sent))
    size = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal size
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        size += len(message.get("body", b""))

    rounds = Rounds()
    watching = asyncio.ensure_future(rounds.watch())
    await asyncio.sleep(0)
    started = time.thread_time()
    await app(scope, receive, send)
    await asyncio.sleep(0)
    took = time.thread_time() - started
    watching.cancel()
    return rounds, size, took


async def crowd(server: Server, count: int, target: str, jobs: int) -> None:
    """What so many waiting queries cost in memory, and the longest round when one commit wakes them all."""
    app = App(server, Dispatcher(server, Reads(waiters_max=count, jitter=lambda: 0.0)))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    waiting = [asyncio.ensure_future(ask_only(app, target)) for _ in range(count)]
    for _ in range(20):
        await asyncio.sleep(0)
    each = (tracemalloc.get_traced_memory()[0] - before) / count / 1024
    tracemalloc.stop()
    bytearray(100_000)  # the allocator merges what tracing has freed now, not in the round that is measured
    answered = [0]
    for task in waiting:
        task.add_done_callback(lambda _: answered.__setitem__(0, answered[0] + 1))
    rounds = Rounds()
    watching = asyncio.ensure_future(rounds.watch())
    await asyncio.sleep(0)
    started = time.thread_time()
    job, *others = row_set(jobs)
    job = replace(job, modify_index=server.machine.index + 1)
    puts(server.machine, [(job, *others)])(0)
    while answered[0] < count:
        await asyncio.sleep(0)
    took = time.thread_time() - started
    watching.cancel()
    line(f"{count:,} waiters on {target}, woken", f"{rounds.longest * 1000:.1f} ms", "≤ 5 ms",
         f"{each:.1f} KB each while they wait, {took:.2f} s of processor time for all answers")  # fmt: skip


async def ask_only(app: App, target: str) -> None:
    """One request of a client that throws its answer away."""
    path, _, query = target.partition("?")
    scope = _scope("GET", path, query, 0)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


def filled(count: int) -> Server:
    """A server with so many jobs and evaluations."""
    machine = Machine()
    rows = [row_set(number) for number in range(count)]
    put = puts(machine, [(*one[:3], replace(one[3], status="complete")) for one in rows])
    for number in range(count):
        put(number)
    own = SimpleNamespace(id="a")
    engine: Any = SimpleNamespace(own=own, configuration=[], is_ready=True, may_read=True, leader=own)
    transport: Any = SimpleNamespace(hellos={})
    return Server(AgentConfig(), machine, engine, transport, Metrics())


async def table(server: Server) -> None:
    """Each request once cold and once warm; the worse of the two."""
    app = App(server, Dispatcher(server, Reads(waiters_max=9, jitter=lambda: 0.0)))
    for method, target, body in LONG:
        cold = await ask(app, method, target, body)
        warm = await ask(app, method, target, body)
        longest = max(cold[0].longest, warm[0].longest) * 1000
        detail = f"{cold[1] / 1e6:.1f} MB, {cold[2]:.2f} s of processor time cold, {warm[2]:.2f} warm"
        line(f"{method} {target}", f"{longest:.1f} ms", "≤ 5 ms", detail)


def main() -> None:
    """The whole table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200_000)
    given = parser.parse_args()
    gc.disable()  # the collector's pauses are another figure
    server = filled(given.jobs)
    uvloop.run(table(server))
    index = max(server.view().table_index(JOBS), server.view().table_index(JOB_SUMMARIES))
    uvloop.run(crowd(server, 10_000, f"/v1/job/job-{given.jobs:07d}?index={index}", given.jobs))
    index = server.view().table_index(JOBS)
    uvloop.run(crowd(server, 2_000, f"/v1/jobs?per_page=1000&index={index}", given.jobs))


if __name__ == "__main__":
    main()
