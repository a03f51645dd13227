"""Links, the HTTP server, the audit log, removals: what is ended comes back; no raw error reaches the node agent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.server.client.test_agent import Servers, start
from tests.server.client.test_runners import allocation, task
from tests.server.platform.test_supervision import Unexpected, counting, end
from yurt.server.client.health import HealthWatcher, Rules
from yurt.server.client.http import Unreachable, request
from yurt.server.client.identity import Identity
from yurt.server.client.servers import Operations
from yurt.server.config.agent import AuditSink, Limits
from yurt.server.http.asgi.serve import HttpServer, bind
from yurt.server.raft.transport.connection import Hello
from yurt.server.raft.transport.transport import PeerTransport
from yurt.server.telemetry.audit import AuditLog
from yurt.server.telemetry.metrics import Metrics
from yurt.server.testing.process import free_ports


def until(predicate: Callable[[], Any]) -> Any:
    """Wait in the running loop, 10 s at most."""

    async def wait() -> None:
        async with asyncio.timeout(10):
            while not predicate():
                await asyncio.sleep(0.01)

    return wait()


@pytest.mark.parametrize("kind", ["peer link", "peer port"])
def test_links_and_the_port_of_peers_that_are_ended_come_back(kind: str) -> None:
    async def scenario() -> None:
        supervisor, failures = counting()

        def transport(name: str) -> PeerTransport:
            hello = Hello(server_id=name, region="global")
            return PeerTransport(lambda: hello, chance=random.Random(1), methods={}, supervisor=supervisor)

        one, other, sock = transport("a"), transport("b"), bind("127.0.0.1", 0)
        port = sock.getsockname()[1]
        other.listen(sock)
        one.dial(f"127.0.0.1:{port}")
        try:
            await until(lambda: one.is_connected("b"))
            (victim,) = (running for running in supervisor.running if running.kind == kind)
            end(victim.task, Unexpected(kind))
            await until(lambda: failures[kind] == 1)
            one.reconnect()
            await until(lambda: not one.is_connected("b"))
            await until(lambda: one.is_connected("b") and not supervisor.down())
        finally:
            await one.close()
            await other.close()
        assert supervisor.running == []

    asyncio.run(scenario())


def test_an_http_server_whose_loop_is_ended_goes_on_serving_and_stops_cleanly() -> None:
    class Hello200:
        async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        def end_waiting(self) -> None:
            pass

    async def scenario() -> None:
        supervisor, failures = counting()
        port = free_ports(1)[0]
        server = HttpServer(Hello200(), [bind("127.0.0.1", port)], limits=Limits(), supervisor=supervisor)
        server.start()
        address = f"127.0.0.1:{port}"
        assert (await request(address, "GET", "/", seconds=5))[0] == 200
        (serving,) = supervisor.running
        end(serving.task, Unexpected("http"))
        await until(lambda: failures["http"] == 1 and not supervisor.down())
        assert (await request(address, "GET", "/", seconds=5))[0] == 200
        await server.stop()
        assert serving.is_done

    asyncio.run(scenario())


def test_an_audit_log_whose_thread_is_ended_writes_the_next_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor, failures = counting()
        audit = AuditLog(str(tmp_path / "audit.log"), AuditSink(), Metrics(), supervisor)
        own, calls = audit._file.write_line, []

        def breaks_once(line: str) -> None:
            calls.append(line)
            if len(calls) == 1:
                raise Unexpected(line)
            own(line)

        audit._file.write_line = breaks_once  # type: ignore[method-assign]
        audit._put(b"first")
        await until(lambda: failures["audit"] == 1)
        assert supervisor.down() == ["audit"]
        audit._put(b"second")
        await until(lambda: len(calls) == 2)
        audit.close()
        assert (tmp_path / "audit.log").read_text().split() == ["second"]

    asyncio.run(scenario())


def test_a_health_watcher_that_is_stopped_as_news_come_decides_nothing_more() -> None:
    async def scenario() -> None:
        supervisor, _ = counting()
        decided: list[object] = []
        watcher = HealthWatcher(
            Rules(min_healthy_ns=10**12, deadline_ns=10**12),
            [],
            lambda *given: decided.append(given),
            now_ns=lambda: 0,
            supervise=partial(supervisor.start, "health"),
        )
        (task,) = supervisor.running
        await asyncio.sleep(0)
        watcher.changed()
        await asyncio.sleep(0)
        watcher.stop()
        async with asyncio.timeout(5):
            await task.wait()
        assert decided == []

    asyncio.run(scenario())


def test_the_removal_of_an_allocation_that_fails_is_tried_again() -> None:
    async def scenario() -> None:
        servers = Servers()
        servers.put(allocation(task()), 5)
        agent = start(servers)
        await servers.hear("a", "running")
        directory, calls = agent.runners["a"].directory, []
        own = directory.destroy

        def breaks_once() -> None:
            calls.append(1)
            if len(calls) == 1:
                raise Unexpected("destroy")
            own()

        directory.destroy = breaks_once  # type: ignore[method-assign]
        servers.allocations.clear()
        servers.changed.set()
        await until(lambda: len(calls) == 2 and not directory.path.exists())
        await agent.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), ValueError("no JSON"), KeyError("Servers")])
def test_no_error_of_connections_deadlines_or_decoders_gets_past_the_operations(error: Exception) -> None:
    async def send(*_given: Any) -> Any:
        raise error

    operations = Operations(send, Identity("node", "secret"))
    with pytest.raises(Unreachable):
        asyncio.run(operations.heartbeat())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"Allocs": null}', b'{"Allocs": 1'])
def test_an_answer_that_is_not_understood_is_no_answer(body: bytes) -> None:
    async def send(*_given: Any) -> Any:
        return 200, {}, body

    operations = Operations(send, Identity("node", "secret"))
    for ask in (operations.heartbeat(), operations.client_allocs(1, 0), operations.get_allocs(["a"])):
        with pytest.raises(Unreachable):
            asyncio.run(ask)
