"""Requests of other servers: who may ask what, how much of it is in work, and how each one ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from yurt.server.platform.supervision import Supervisor
from yurt.server.raft.errors import NotSent
from yurt.server.raft.transport.callers import Asker, Caller, PeerMethods, may_call
from yurt.server.raft.transport.connection import Connection

log = logging.getLogger("raft.transport")

STRANGER_REQUESTS_MAX = 4  # in work, of one connection

Handler = Callable[[bytes], Awaitable[bytes]]
AskerHandler = Callable[[bytes, Asker], Awaitable[bytes]]


class PeerRequests:
    """The handlers of one server, by method, and the requests that they work on."""

    def __init__(self, methods: PeerMethods, supervisor: Supervisor) -> None:
        self._methods, self._supervisor = methods, supervisor
        self._handlers: dict[str, AskerHandler] = {}
        self._in_work: dict[asyncio.Task[None], Connection] = {}

    def serve(self, method: str, handler: AskerHandler) -> None:
        """Answer requests of a method, which has its row in the table of methods.

        A handler raises `NotSent` if it surely did nothing; after any other error nobody knows.
        """
        assert method in self._methods, f"{method} has no row in the table of peer methods"
        self._handlers[method] = handler

    def handler_for(self, method: str, kind: Caller) -> AskerHandler:
        """Return who answers a method to a caller of that kind; raises `NotSent` with the reason why nobody does."""
        handler = self._handlers.get(method)
        if handler is None:
            raise NotSent(f"unknown method {method}")
        if not may_call(self._methods, method, kind):
            raise NotSent(f"{method} is not for a {kind.value}")
        return handler

    def receive(self, connection: Connection, asker: Asker, request_id: bytes, method: str, payload: bytes) -> None:
        """Answer a request that came on a connection."""
        try:
            handler = self.handler_for(method, asker.kind)
        except NotSent as error:
            log.debug("peer request refused", extra={"peer": asker.address, "reason": str(error)})
            connection.refuse(request_id, str(error))
            return
        if asker.kind is not Caller.MEMBER and self._count(connection) >= STRANGER_REQUESTS_MAX:
            connection.refuse(request_id, "too many requests are in work on this connection")
            return
        task = self._supervisor.spawn("peer requests", _handle(connection, request_id, handler(payload, asker)))
        self._in_work[task] = connection
        task.add_done_callback(lambda done: self._in_work.pop(done, None))

    def _count(self, connection: Connection) -> int:
        return sum(other is connection for other in self._in_work.values())

    async def close(self) -> None:
        """End all that is in work."""
        tasks = list(self._in_work)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _handle(connection: Connection, request_id: bytes, answer: Awaitable[bytes]) -> None:
    """Send the answer. The end of the connection tells a caller that the outcome is unknown: no answer says so."""
    try:
        connection.answer(request_id, True, await answer)
    except NotSent as error:
        connection.answer(request_id, False, str(error).encode())
    except Exception:
        connection.close()
        raise
