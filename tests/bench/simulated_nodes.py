"""Many nodes for a real server: they register and send heartbeats over HTTP as agents do, and run nothing."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import orjson

from tests.process.servers import ServerProcess
from tests.scheduler.picture import node
from yurt.fsm.structs.node import Node

CONNECTIONS = 16


class SimulatedNodes:
    """`count` ready nodes of a size (MHz, MB), numbered from `first` on; `beat` keeps them ready."""

    def __init__(self, server: ServerProcess, count: int, *, first: int, cpu: int, memory: int) -> None:
        self._server = server
        self._nodes = [
            msgspec.structs.replace(
                node(number, cpu=cpu, memory=memory), id=str(uuid.UUID(int=number + 1)), secret_id=str(uuid.uuid4())
            )
            for number in range(first, first + count)
        ]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ttl_seconds = 10.0

    def register(self) -> None:
        """All of them, over a few connections."""
        parts = [self._nodes[at::CONNECTIONS] for at in range(CONNECTIONS)]
        threads = [threading.Thread(target=self._register, args=(part,)) for part in parts if part]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _register(self, part: list[Node]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.http_port, timeout=60)
        for one in part:
            for method, given in (("Register", {"Node": one}), ("UpdateStatus", {"NodeID": one.id, "Status": "ready"})):
                headers = {"X-Nomad-Token": one.secret_id}
                body = msgspec.json.encode(given)
                connection.request("PUT", f"/v1/agent-rpc/Node.{method}", body=body, headers=headers)
                answer = connection.getresponse()
                found = answer.read()
                assert answer.status == 200, found
                self.ttl_seconds = orjson.loads(found)["HeartbeatTTL"] / 1e9
        connection.close()

    def beat(self) -> None:
        """Heartbeats of all nodes, spread over half of their time to live, until `end`."""
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # the server is gone: nobody hears them
            asyncio.run(self._beat_all())

    async def _beat_all(self) -> None:
        """As of many nodes: a late answer to some makes the others no later."""
        await asyncio.gather(*(self._beat(part) for at in range(CONNECTIONS) if (part := self._nodes[at::CONNECTIONS])))

    async def _beat(self, nodes: list[Node]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.http_port)
        while not self._ended.is_set():
            pause = self.ttl_seconds / 2 / len(nodes)
            for one in nodes:
                body = orjson.dumps({"NodeID": one.id, "Status": "ready"})
                head = f"PUT /v1/agent-rpc/Node.UpdateStatus HTTP/1.1\r\nHost: localhost\r\nX-Nomad-Token: {one.secret_id}\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answered = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in answered.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.split(b":")[1]))
                await asyncio.sleep(pause)
                if self._ended.is_set():
                    break
        writer.close()

    def end(self) -> None:
        """No more heartbeats."""
        self._ended.set()
        self._thread.join()


@contextmanager
def simulated_nodes(
    server: ServerProcess, count: int, *, first: int = 0, cpu: int = 100_000, memory: int = 200_000
) -> Iterator[None]:
    """Nodes that are ready while the block runs."""
    nodes = SimulatedNodes(server, count, first=first, cpu=cpu, memory=memory)
    nodes.register()
    nodes.beat()
    try:
        yield
    finally:
        nodes.end()
