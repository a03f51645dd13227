"""uvicorn in the agent's own loop, on sockets that are bound already."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import uvicorn

from yurt.fsm.errors import YurtError
from yurt.server.config.agent import Limits, seconds
from yurt.server.http.asgi.protocol import Connections, limited
from yurt.server.platform.supervision import Supervised, Supervisor

GRACE_SECONDS = 5
WEBSOCKET_BYTES_MAX = 1 << 20
FILES_KEPT = 256  # open files that are left for the log, peers and tasks


class PortInUse(YurtError):
    """Another process listens there."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises `PortInUse` with what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(4096)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} of {host} is in use by another process; stop it, or set another one (ports {{ … }})"
            ) from None
        raise PortInUse(f"cannot listen on {host}:{port}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


class _Embedded(uvicorn.Server):
    """Leaves signals to the agent; gives handshakes as long as configured."""

    handshake_seconds: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on sockets that are bound, unless an earlier run of this server still does."""
        if self.started:
            return
        await self.lifespan.startup()
        loop, config = asyncio.get_running_loop(), self.config

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        self.servers = [
            await loop.create_server(
                protocol, sock=one, ssl=config.ssl, ssl_handshake_timeout=self.handshake_seconds, backlog=config.backlog
            )
            for one in sockets or ()
        ]
        self.started = True

    def capture_signals(self) -> Any:
        """None are captured."""
        return contextlib.nullcontext()


def _connections(limits: Limits) -> Connections:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Connections(
        request_seconds=seconds(limits.http_request_timeout),
        write_seconds=seconds(limits.http_write_timeout),
        head_bytes_max=limits.http_head_bytes_max,
        headers_max=limits.http_headers_max,
        target_bytes_max=limits.http_target_bytes_max,
        per_client_max=limits.http_max_conns_per_client,
        total_max=limits.http_max_conns or max(64, files - FILES_KEPT),
    )


class Application(Protocol):
    """The served ASGI application, which can end its waiting requests."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI connection."""

    def end_waiting(self) -> None:
        """Answer everybody who waits: the process stops."""


class HttpServer:
    """The running HTTP side."""

    def __init__(
        self,
        app: Application,
        sockets: list[socket.socket],
        *,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        http, websocket = limited(_connections(limits))
        config = uvicorn.Config(
            app,
            http=http,
            ws=websocket,
            ws_max_size=WEBSOCKET_BYTES_MAX,
            ws_per_message_deflate=False,
            lifespan="off",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        config.load()
        if tls is not None:
            config.ssl = tls
        self._server = _Embedded(config)
        self._server.handshake_seconds = seconds(limits.https_handshake_timeout) if tls is not None else None
        self._end_waiting = app.end_waiting
        self._sockets = sockets
        self._supervisor = supervisor or Supervisor()
        self._task: Supervised | None = None

    def start(self) -> None:
        """Serve."""
        work: Callable[..., Coroutine[Any, Any, None]] = self._server.serve
        self._task = self._supervisor.start("http", partial(work, sockets=self._sockets))

    def end_connections(self) -> None:
        """Close every connection, each after the request that is in work; clients connect again."""
        for connection in list(self._server.server_state.connections):
            connection.shutdown()

    async def stop(self) -> None:
        """Accept nothing new, answer who waits, let requests in work end for a few seconds, close."""
        self._server.should_exit = True
        self._end_waiting()
        if self._task is not None:
            await asyncio.wait([self._task.task], timeout=GRACE_SECONDS + 2)
