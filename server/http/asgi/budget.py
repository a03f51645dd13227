"""Room that requests share: a total, and a share of it that one client may have; clients take turns in waiting."""

from __future__ import annotations

import asyncio
from collections import deque


class Budget:
    """Amounts that are taken and given back. Nobody waits while what is asked for is free and nobody else needs it.

    An amount above a client's share counts as the share: it is granted when the client has nothing else. Who waits
    for the total to have room is served in order; who waits for its own share holds back nobody else.
    """

    __slots__ = ("_clients", "_free", "_is_gathering", "_share", "_total", "_waiting")

    def __init__(self, total: int, share: int) -> None:
        assert 0 < share <= total
        self._total, self._share = total, share
        self._free = total  # 0 <= _free <= _total, but for what `grow` took
        self._clients: dict[str, int] = {}  # 0 < taken <= _share, but for what `grow` took, by client
        self._waiting: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}  # the first client is served next
        self._is_gathering = False  # what is free is kept for the first client that the total has no room for

    @property
    def taken(self) -> int:
        """The amount that all clients together have taken."""
        return self._total - self._free

    def taken_by(self, client: str) -> int:
        """Return the amount that a client has taken."""
        return self._clients.get(client, 0)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._waiting.values()))

    def take_now(self, amount: int, client: str) -> bool:
        """Take an amount if it is free and nobody waits for it, nor the client for another."""
        amount = min(amount, self._share)
        if client in self._waiting or self._is_gathering or not self._may_have(amount, client) or amount > self._free:
            return False
        self._take(amount, client)
        return True

    async def take(self, amount: int, client: str) -> None:
        """Take an amount as soon as it is free."""
        if self.take_now(amount, client):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append((future, min(amount, self._share)))
        self._grant()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give(amount, client)
            else:
                self._grant()
            raise

    def grow(self, amount: int, client: str) -> None:
        """Take more without waiting, also beyond share and total: it is in use already."""
        self._take(min(amount, self._share), client)

    def give(self, amount: int, client: str) -> None:
        """Give an amount back; whoever may go on does."""
        amount = min(amount, self._share)
        self._free += amount
        self._clients[client] -= amount
        if not self._clients[client]:
            del self._clients[client]
        self._grant()

    def _grant(self) -> None:
        """Let each client in turn have its first request, as long as the total has room, until none can have one."""
        self._is_gathering, has_granted = False, True
        while has_granted:
            has_granted = False
            for client in list(self._waiting):
                if (first := self._first(client)) is None:
                    continue
                future, amount = first
                if amount > self._free:
                    self._is_gathering = True
                    return
                self._take(amount, client)
                future.set_result(None)
                requests = self._waiting.pop(client)
                requests.popleft()
                if requests:
                    self._waiting[client] = requests  # behind the others
                has_granted = True

    def _first(self, client: str) -> tuple[asyncio.Future[None], int] | None:
        """Return the client's first request that was not given up.

        None if there is none, or it must wait for the client's own share: the client keeps its place then.
        """
        requests = self._waiting[client]
        while requests and requests[0][0].done():
            requests.popleft()
        if not requests:
            del self._waiting[client]
            return None
        return requests[0] if self._may_have(requests[0][1], client) else None

    def _may_have(self, amount: int, client: str) -> bool:
        return self._clients.get(client, 0) + amount <= self._share

    def _take(self, amount: int, client: str) -> None:
        self._free -= amount
        self._clients[client] = self._clients.get(client, 0) + amount
