"""uvicorn in the agent's own loop, on sockets that are bound already."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import uvicorn

from yurt.fsm.errors import YurtError
from yurt.server.http.protocol import limited

GRACE_SECONDS = 5
WEBSOCKET_BYTES_MAX = 1 << 20


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
    """Leaves signals to the agent."""

    def capture_signals(self) -> Any:
        """None are captured."""
        return contextlib.nullcontext()


class Application(Protocol):
    """What is served: an ASGI application that can end its waiting requests."""

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
        request_seconds: float,
        connections_max: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        http, websocket = limited(request_seconds=request_seconds, connections_max=connections_max)
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
        self._end_waiting = app.end_waiting
        self._sockets = sockets
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Serve."""
        work: Callable[..., Coroutine[Any, Any, None]] = self._server.serve
        self._task = asyncio.get_running_loop().create_task(work(sockets=self._sockets))

    def end_connections(self) -> None:
        """Close every connection, each after the request that is in work; clients connect again."""
        for connection in list(self._server.server_state.connections):
            connection.shutdown()

    async def stop(self) -> None:
        """Accept nothing new, answer who waits, let requests in work end for a few seconds, close."""
        self._server.should_exit = True
        self._end_waiting()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=GRACE_SECONDS + 2)
