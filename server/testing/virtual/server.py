"""A server on virtual time: the product's own, on a machine of the world, asked as over HTTP but without a socket."""

from __future__ import annotations

import asyncio
import random
import shutil
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import orjson

from yurt import __version__
from yurt.fsm.commands import COMMAND_VERSION
from yurt.server.assembly import Ground, Parts, assemble_engine, assemble_server, hand_over
from yurt.server.cluster.join import Joining
from yurt.server.http.asgi.app import App
from yurt.server.keyring.keystore import KEY_BYTES, Kept, make_key
from yurt.server.raft.core.configuration import cluster_id
from yurt.server.raft.peer import Peer
from yurt.server.raft.transport.handshake import Hello
from yurt.server.telemetry.metrics import Metrics
from yurt.server.testing.agent import START_SECONDS_MAX, ClusterError
from yurt.server.testing.virtual.clock import VirtualClock
from yurt.server.testing.virtual.disk import SimulatedDisk
from yurt.server.testing.virtual.host import HostRuntime
from yurt.server.testing.virtual.machine import Machine
from yurt.server.testing.virtual.network import VirtualNetwork, VirtualTransport

SEGMENT_BYTES = 256 << 10  # a disk in memory is made of them
CLIENT = "client"  # where requests come from, for the network


class Pending:
    """A request on its way: `status` 0 as long as there is no answer."""

    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self.status = 0
        self.headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self.is_done = self.is_lost = False  # lost: the server has ended before it had answered
        self.ended: Callable[[], None] = lambda: None  # called once it is one of them

    def lose(self) -> None:
        """The server has ended."""
        if not self.is_done:
            self.is_lost = True
            self.ended()

    async def send(self, message: Any) -> None:
        """The application's answer, piece by piece."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            self._pieces.append(message.get("body", b""))
            self.is_done = not message.get("more_body", False)
            if self.is_done:
                self._server.waiting.pop(self, None)
                self.ended()

    @property
    def data(self) -> bytes:
        """The bytes that came so far."""
        return b"".join(self._pieces)

    @property
    def body(self) -> Any:
        """The body that came so far, decoded; text if it is no JSON, None if it is empty."""
        data = self.data
        try:
            return orjson.loads(data) if data else None
        except orjson.JSONDecodeError:
            return data.decode(errors="replace")

    def result(self, timeout: float = 20.0) -> tuple[int, Any]:
        """Status and body; lets time pass until they are there. Raises OSError if there is no answer."""
        clock = self._server.clock_of_all
        deadline = clock.now() + timeout
        clock.run_while(lambda: not self.is_done and not self.is_lost, deadline)
        if self.is_lost:
            raise ConnectionResetError(f"{self._server.name} ended before it had answered")
        if not self.is_done:
            raise TimeoutError(f"{self._server.name} did not answer within {timeout:.0f} s")
        return self.status, self.body


class VirtualServer(Machine):
    """One server; `configuration` is what the cluster begins with."""

    def __init__(
        self,
        clock: VirtualClock,
        network: VirtualNetwork,
        directory: Path,
        name: str,
        config: dict[str, Any],
        configuration: list[list[str]],
    ) -> None:
        super().__init__(clock, network, directory, name, config)
        self.clock_of_all = clock
        self._configuration = configuration
        self._address = next(row[1] for row in configuration if row[0] == name)
        self.server_id = name  # another one with each new disk
        self._joining: Joining | None = None
        self.waiting: dict[Pending, None] = {}  # in the order in which they came
        self._parts: Parts | None = None
        self._app: App | None = None

    def _begin(self) -> None:
        (self.directory / "server").mkdir(exist_ok=True)
        chance = random.Random(self.world.chance.random())
        ground = Ground(
            self.disk, str(self.directory), HostRuntime(self), chance, wall_clock_ns=self.wall_clock_ns,
            stopwatch=lambda: 0, segment_bytes=SEGMENT_BYTES,
            make_key=lambda key_id: Kept(key_id, chance.randbytes(KEY_BYTES), _signing()),
            random_bytes=chance.randbytes,
        )  # fmt: skip
        transport = VirtualTransport(self.network, self, self._hello)
        engine = assemble_engine(Peer(*self._own()), self.config, self._configuration, transport, ground, self._fatal)
        self._parts = parts = assemble_server(self.config, engine, transport, Metrics(), ground)
        self._app = App(parts.server, parts.dispatcher)
        self._joining = Joining(parts.server, self._hello(), [])
        engine.start(self._configuration)
        self._joining.start()
        parts.server.start()
        self.network.up(transport)

    def _own(self) -> list[str]:
        return [self.server_id, self._address, self.name]

    def replace_disk(self) -> None:
        """Lose power and everything on the disk; the machine starts as a new server with its old name and address."""
        self.kill()
        self.disk = SimulatedDisk()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.server_id = str(uuid.UUID(int=self.world.chance.getrandbits(128), version=4))
        self._say("has a new disk")
        self.start()

    def _hello(self) -> Hello:
        server_id, address, name = self._own()
        return Hello(
            cluster=cluster_id(self._configuration), region=self.config.region, name=name, server_id=server_id,
            address=address, software=__version__, command_version=COMMAND_VERSION, datacenter=self.config.datacenter,
            configuration=self._configuration,
        )  # fmt: skip

    def _fatal(self, error: BaseException) -> None:
        """The engine cannot go on: the process ends; everything acknowledged is on disk."""
        self._say(f"ends: {error!r}")
        self._gone()

    def _gone(self) -> None:
        super()._gone()
        self._parts = self._app = None
        self.network.down(self.name)
        waiting, self.waiting = self.waiting, {}
        for pending in waiting:
            pending.lose()

    async def _stopping(self) -> None:
        parts = self._parts
        assert parts is not None
        parts.server.stop()
        if self._joining is not None:
            self._joining.stop()
        await hand_over(parts.server)
        parts.server.close()
        parts.leader.stop()
        parts.periodic.stop()
        parts.server.engine.stop()

    # --- its API

    def begin(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Pending:
        """Send a request and go on: its answer comes as time passes. ConnectionRefusedError if the server is down."""
        app = self._app
        if app is None:
            raise ConnectionRefusedError(f"{self.name} is down")
        pending, scope = Pending(self), _scope(method, path, headers or {})
        self.waiting[pending] = None
        sent = b"" if body is None else orjson.dumps(body)
        scope["headers"].append((b"content-length", b"%d" % len(sent)))

        def start() -> None:
            asyncio.get_running_loop().create_task(app(scope, _receiver(sent), pending.send))

        self.network.later(CLIENT, self.name, self.mine(start))
        return pending

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = 20.0,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded body (text if it is no JSON) of one request; OSError if there is no answer."""
        return self.begin(method, path, body, headers=headers).result(timeout)

    def wait_ready(self) -> VirtualServer:
        """Let time pass until it has a leader and answers default reads."""
        deadline = self.world.time + START_SECONDS_MAX
        while self.is_running:
            try:
                if self.request("GET", "/v1/namespaces", timeout=6.0)[0] == 200:
                    return self
            except OSError:
                pass
            if self.world.time >= deadline:
                break
        raise ClusterError(f"{self.name} is not ready within {START_SECONDS_MAX:.0f} s:\n{self.log(3000)}")


@cache
def _signing() -> bytes:
    """One signing key for all clusters of this process: to make one takes a tenth of a second."""
    return make_key("").signing


def _scope(method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
    parts = urlsplit(target)
    raw = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    return {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": unquote(raw),
        "raw_path": raw.encode(), "query_string": parts.query.encode(), "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1), "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip


def _receiver(sent: bytes) -> Callable[[], Any]:
    """Return the `receive` of an application: the body, then nothing any more."""
    messages = iter([{"type": "http.request", "body": sent, "more_body": False}])

    async def receive() -> Any:
        for message in messages:
            return message
        return await asyncio.get_running_loop().create_future()  # the client stays

    return receive
