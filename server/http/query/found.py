"""The result of a query."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol, Self

from yurt.fsm.store.watches import WatchItem
from yurt.server.platform.turns import Turns


class LongBody(Protocol):
    """A body that is made while it is sent."""

    def chunks(self, turns: Turns, client: str) -> AsyncIterator[bytes | memoryview]:
        """All of it, in bounded pieces, each made in a turn of the client's own."""

    @property
    def kept_bytes(self) -> int:
        """About how much memory it takes as long as somebody reads it."""

    def pretty(self) -> Self:
        """The same JSON, indented."""


class Found:
    """The result of a query: body, index for X-Nomad-Index, items to watch, perhaps an error status or a next page.

    `later` makes a body that takes long, once it is known that this is the answer. `rows` stands in place of a body
    that is too long to be kept whole.
    """

    __slots__ = ("body", "index", "later", "making", "next_token", "rows", "status", "watch")

    def __init__(
        self,
        body: bytes,
        index: int,
        watch: tuple[WatchItem, ...],
        *,
        status: int = 200,
        next_token: str = "",
        later: Callable[[], bytes] | None = None,
        rows: LongBody | None = None,
    ) -> None:
        self.body, self.index, self.watch = body, index, watch
        self.status, self.next_token = status, next_token
        self.later, self.rows = later, rows
        self.making: asyncio.Future[bytes] | None = None
