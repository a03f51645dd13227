"""The room of a body is free again before its request waits for anything that takes its time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.job import Job
from yurt.server.config.agent import AgentConfig
from yurt.server.http.asgi.app import App
from yurt.server.http.asgi.context import Answer, Context
from yurt.server.http.asgi.uploads import BodyRoom
from yurt.server.http.query.reads import Reads
from yurt.server.http.routes import job_statuses
from yurt.server.platform.worker_thread import LARGE_BODY_BYTES
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics

SIZE = 4 * LARGE_BODY_BYTES
PATH = "/v1/jobs/statuses"


@pytest.fixture
def server() -> Server:
    machine = Machine()
    transaction = machine.store.begin(machine.index + 1)
    transaction.put(JOBS, Job(id="web", namespace="default", node_pool="default", modify_index=1))
    machine.store.commit(transaction)
    engine: Any = SimpleNamespace(own=SimpleNamespace(id="a"), configuration=[], is_ready=True, applied_index=1)
    return Server(AgentConfig(), machine, engine, SimpleNamespace(hellos={}), Metrics())  # type: ignore[arg-type]


def asked(size: int) -> bytes:
    """A body of at least `size` bytes that asks for one job."""
    return orjson.dumps({"Jobs": [{"ID": "web", "Namespace": "default"}], "Ignored": "x" * size})


@pytest.mark.parametrize("size", [0, SIZE], ids=["small", "large"])
def test_a_query_with_a_body_keeps_none_while_it_waits(server: Server, size: int) -> None:
    async def main() -> None:
        reads, room = Reads(waiters_max=9, jitter=lambda: 0.0), BodyRoom(4 * SIZE, 4 * SIZE)
        with room.reserve("a") as reserved:
            body = asked(size)
            reserved.take(SIZE)
            query = b"index=1000000&wait=60s"
            context = Context(server, "POST", PATH, query, {}, body, give_back=reserved.give_back)
            waiting = asyncio.ensure_future(reads.answer(context, job_statuses.statuses, job_statuses.StatusesRequest))
            while not reads.waiting and not waiting.done():
                await asyncio.sleep(0)
            assert not waiting.done() and room.held == 0 and context.body == b""
            reads.end_waiting()
            assert [row["ID"] for row in orjson.loads((await waiting).body)] == ["web"]

    asyncio.run(main())


def test_an_answer_is_sent_while_nothing_is_held(server: Server) -> None:
    """A client that takes its answer slowly keeps no room."""
    held: list[int] = []

    async def main() -> None:
        async def admit(_context: Context) -> None:
            pass

        async def answer(context: Context) -> Answer:
            held.append(room.held)
            assert len(context.body) == SIZE
            return Answer(200, b"{}")

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * SIZE}

        async def send(_message: Any) -> None:
            held.append(room.held)

        app = App(server, SimpleNamespace(admit=admit, answer=answer))  # type: ignore[arg-type]
        room = app._room
        scope = {
            "type": "http", "method": "PUT", "path": "/v1/jobs", "query_string": b"", "headers": [],
            "client": ("10.0.0.1", 1),
        }  # fmt: skip
        await app(scope, receive, send)

    asyncio.run(main())
    first, *others = held
    assert first > 0 and others == [0, 0]
