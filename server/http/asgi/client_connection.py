"""Clients that go away: what is done for one that only reads ends with its connection."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from yurt.fsm.errors import Refusal
from yurt.server.http.asgi.protocol import LimitedProtocol

GONE = "the client went away"


class ClientConnection:
    """The connection of a client that asks. Within it the task ends, with Refusal(499), when the connection is lost.

    For reads only: a write that was begun goes on whether or not somebody hears of its end.
    """

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, cycle: RequestResponseCycle, protocol: LimitedProtocol) -> None:
        self._cycle, self._protocol = cycle, protocol

    @property
    def write_seconds(self) -> float:
        """How long the client may take nothing of an answer."""
        return self._protocol.bounds.write_seconds

    def __enter__(self) -> None:
        if self._cycle.disconnected:
            raise Refusal(499, GONE)
        task = asyncio.current_task()
        assert task is not None
        self._protocol.on_lost = task.cancel

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._protocol.on_lost = None
        task = asyncio.current_task()
        if kind is asyncio.CancelledError and self._cycle.disconnected and task is not None:
            task.uncancel()
            raise Refusal(499, GONE) from None


def client_connection(receive: Any) -> ClientConnection | None:
    """The connection behind an ASGI request; None if something else than uvicorn with our protocol calls."""
    cycle = getattr(receive, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return None
    protocol = cycle.transport.get_protocol()
    return ClientConnection(cycle, protocol) if isinstance(protocol, LimitedProtocol) else None
