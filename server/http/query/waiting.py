"""Blocking queries: who waits for what. While it waits, a query is an index, a watch and a future, never a body.

Equal queries are a group with one watch. A commit only marks the groups that it touched; the loop lets them go a few in
each round, so that the answer to the write itself goes first and nothing else waits for ten thousand readers.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable

from yurt.fsm.errors import Refusal
from yurt.fsm.store.watches import Watch, Watches, WatchItem

WOKEN_A_ROUND = 16  # each makes an answer in the next round: some 2 ms
GROUPS_A_ROUND = 2  # each looks for its answer in the next round: perhaps for a slice


class _Group:
    """Everybody who waits for the same query."""

    __slots__ = ("futures", "watch")

    def __init__(self) -> None:
        self.futures: dict[asyncio.Future[None], None] = {}
        self.watch: Watch | None = None

    def leave(self) -> None:
        """Watch no more."""
        if self.watch is not None:
            self.watch.cancel()
            self.watch = None


class Waiting:
    """All queries that wait on one server; `client_max` 0 is no limit."""

    def __init__(self, total_max: int, client_max: int, jitter: Callable[[], float]) -> None:
        self._total_max, self._client_max, self._jitter = total_max, client_max, jitter
        self._clients: Counter[str] = Counter()
        self._groups: dict[Hashable, _Group] = {}
        self._woken: deque[_Group] = deque()
        self._is_letting_go = False
        self.count = 0
        self.has_ended = False

    def begin(self, client: str) -> None:
        """Count a query that waits, until `leave`; raises Refusal(429) if it is one too many."""
        if self.count >= self._total_max:
            raise Refusal(429, "too many blocking queries are waiting; retry later")
        if self._client_max and self._clients[client] >= self._client_max:
            raise Refusal(429, "too many blocking queries of your address are waiting; let some end")
        self.count += 1
        self._clients[client] += 1

    def leave(self, client: str) -> None:
        """Count it no more."""
        self.count -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def deadline(self, seconds: float) -> float:
        """The loop's time at which a wait of so many seconds ends: a little later, so that not all end at once."""
        return asyncio.get_running_loop().time() + seconds * (1 + self._jitter() / 16)

    async def wait(self, watches: Watches, watch: tuple[WatchItem, ...], key: Hashable, deadline: float) -> None:
        """Return after a commit that touched the watch, at the deadline, or when all waiting ends."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(deadline, _finish, future)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._new_group(watches, watch, key)
        group.futures[future] = None
        try:
            await future
        finally:
            timer.cancel()
            group.futures.pop(future, None)
            if not group.futures and self._groups.get(key) is group:
                del self._groups[key]
                group.leave()

    def _new_group(self, watches: Watches, watch: tuple[WatchItem, ...], key: Hashable) -> _Group:
        group = _Group()
        group.watch = watches.watch(watch, lambda _index: self._wake(key, group))
        return group

    def end(self) -> None:
        """Let everybody go and let nobody wait any more."""
        self.has_ended = True
        for key, group in list(self._groups.items()):
            self._wake(key, group)

    def _wake(self, key: Hashable, group: _Group) -> None:
        """Let the group go soon; whoever waits from now on waits for the next commit, in another group."""
        if self._groups.get(key) is not group:
            return
        del self._groups[key]
        self._woken.append(group)
        if not self._is_letting_go:
            self._is_letting_go = True
            asyncio.get_running_loop().call_soon(self._let_go)

    def _let_go(self) -> None:
        """Let a few go, and the others in the next rounds."""
        room = WOKEN_A_ROUND
        for _ in range(min(GROUPS_A_ROUND, len(self._woken))):
            group = self._woken[0]
            while room and group.futures:
                future, _ = group.futures.popitem()
                _finish(future)
                room -= 1
            if group.futures:
                break
            self._woken.popleft().leave()
        self._is_letting_go = bool(self._woken)
        if self._is_letting_go:
            asyncio.get_running_loop().call_soon(self._let_go)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
