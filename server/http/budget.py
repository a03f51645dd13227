"""Room that requests share: a total, and a share of it that one client may have; clients take turns in waiting."""

from __future__ import annotations

import asyncio
from collections import deque


class Budget:
    """Amounts that are taken and given back. Nobody waits while what is asked for is free.

    An amount above a client's share is granted when the client has nothing else.
    """

    __slots__ = ("_clients", "_free", "_share", "_total", "_waiting")

    def __init__(self, total: int, share: int) -> None:
        self._total, self._share = total, share
        self._free = total  # 0 <= _free <= _total
        self._clients: dict[str, int] = {}  # 0 < taken, by client
        self._waiting: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}  # the first client is served next

    @property
    def taken(self) -> int:
        """What all clients together have."""
        return self._total - self._free

    def taken_by(self, client: str) -> int:
        """What a client has."""
        return self._clients.get(client, 0)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._waiting.values()))

    def take_now(self, amount: int, client: str) -> bool:
        """Take an amount if it is free and nobody of the client waits for another."""
        if client in self._waiting or not self._fits(amount, client):
            return False
        self._take(amount, client)
        return True

    async def take(self, amount: int, client: str) -> None:
        """Take an amount as soon as it is free."""
        if self.take_now(amount, client):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append((future, amount))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give(amount, client)
            raise

    def give(self, amount: int, client: str) -> None:
        """Give an amount back; whoever may go on does."""
        self._free += amount
        self._clients[client] -= amount
        if not self._clients[client]:
            del self._clients[client]
        for waiter in list(self._waiting):
            if self._free <= 0:
                return
            self._grant_first(waiter)

    def _grant_first(self, client: str) -> None:
        """Grant the client's first request that was not given up, if it fits; the client goes behind the others."""
        requests = self._waiting.pop(client)
        while requests:
            future, amount = requests[0]
            if future.done():
                requests.popleft()
                continue
            if not self._fits(amount, client):
                break
            requests.popleft()
            self._take(amount, client)
            future.set_result(None)
            break
        if requests:
            self._waiting[client] = requests

    def _fits(self, amount: int, client: str) -> bool:
        taken = self._clients.get(client, 0)
        return amount <= self._free and (not taken or taken + amount <= self._share)

    def _take(self, amount: int, client: str) -> None:
        self._free -= amount
        self._clients[client] = self._clients.get(client, 0) + amount
