"""Reads: found at once or waited for (spec jobs-api §2.6).

A query is a function from a view to what was found and what it depends on. Equal queries share one computation and one
watch: a thousand clients that wait for one job cost one lookup when it changes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.store.view import View
from yurt.fsm.store.watches import Watch, WatchItem
from yurt.server.address import client_of
from yurt.server.http.context import JSON, TEXT, Answer, Context, ReadOptions, index_header, read_options

CACHED_MAX = 2048
CACHED_BODY_BYTES_MAX = 1 << 20
CACHED_BYTES_MAX = 64 << 20
KNOWN = (b"x-nomad-knownleader", b"true")
UNKNOWN = (b"x-nomad-knownleader", b"false")
NO_CONTACT = (b"x-nomad-lastcontact", b"0")


class Found:
    """What a query found: body, the index for X-Nomad-Index, what to watch, perhaps an error status or a next page.

    `later` makes a body that takes long, once it is known that this is the answer.
    """

    __slots__ = ("body", "index", "later", "making", "next_token", "status", "watch")

    def __init__(
        self,
        body: bytes,
        index: int,
        watch: tuple[WatchItem, ...],
        *,
        status: int = 200,
        next_token: str = "",
        later: Callable[[], bytes] | None = None,
    ) -> None:
        self.body, self.index, self.watch = body, index, watch
        self.status, self.next_token = status, next_token
        self.later = later
        self.making: asyncio.Future[bytes] | None = None


Query = Callable[[View, Context, ReadOptions], Found]


class _Group:
    """Everybody who waits for the same query."""

    __slots__ = ("futures", "watch")

    def __init__(self) -> None:
        self.futures: set[asyncio.Future[None]] = set()
        self.watch: Watch | None = None


class Reads:
    """Runs queries for one server."""

    def __init__(self, *, waiters_max: int, jitter: Callable[[], float], waiters_max_per_client: int = 0) -> None:
        self._cache: dict[Any, tuple[int, Found]] = {}
        self._groups: dict[Any, _Group] = {}
        self._waiters_max, self._per_client_max, self._jitter = waiters_max, waiters_max_per_client, jitter
        self._clients: Counter[str] = Counter()  # how many of whom wait, if that is limited
        self.waiting = self._cached_bytes = 0
        self._ended = False

    async def answer(self, context: Context, query: Query) -> Answer:
        """Run a query, or wait for it with `index`."""
        options = read_options(context)
        key = (query, context.arguments, _without_waiting(context), context.secret, _digest(context.body))
        found = self._compute(context, query, options, key)
        if options.index > 0 and found.index <= options.index:
            found = await self._wait(context, query, options, key, found)
        if found.later is not None:
            await self._make(context, found, key)
        return self._answered(context, found)

    def _compute(self, context: Context, query: Query, options: ReadOptions, key: Any) -> Found:
        view = context.server.machine.view()
        kept = self._cache.get(key)
        if kept is not None and kept[0] == view.index:
            return kept[1]
        found = query(view, context, options)
        if len(found.body) <= CACHED_BODY_BYTES_MAX:
            if len(self._cache) >= CACHED_MAX or self._cached_bytes >= CACHED_BYTES_MAX:
                self._cache.clear()
                self._cached_bytes = 0
            self._cache[key] = (view.index, found)
            self._cached_bytes += len(found.body)
        return found

    async def _make(self, context: Context, found: Found, key: Any) -> None:
        """Make the body beside the loop, once for all who ask for it at the same time."""
        assert found.later is not None
        if found.making is None:
            found.making = asyncio.ensure_future(context.server.background.run(found.later))
        try:
            body = await asyncio.shield(found.making)
        except Exception:
            found.making = None
            raise
        if found.later is None:
            return
        found.body, found.later, found.making = body, None, None
        if (kept := self._cache.get(key)) is not None and kept[1] is found:
            if len(body) > CACHED_BODY_BYTES_MAX:
                del self._cache[key]
            else:
                self._cached_bytes += len(body)

    async def _wait(self, context: Context, query: Query, options: ReadOptions, key: Any, found: Found) -> Found:
        if self.waiting >= self._waiters_max:
            raise Refusal(429, "too many blocking queries are waiting; retry later")
        client = client_of(context.address) if self._per_client_max else ""
        if client and self._clients[client] >= self._per_client_max:
            raise Refusal(429, "too many blocking queries of your address are waiting; let some end")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + options.wait_seconds * (1 + self._jitter() / 16)
        self.waiting += 1
        if client:
            self._clients[client] += 1
        try:
            while found.index <= options.index and not self._ended:
                future: asyncio.Future[None] = loop.create_future()
                timer = loop.call_at(deadline, _finish, future)
                self._join(context, key, found, future)
                try:
                    await future
                finally:
                    timer.cancel()
                    self._leave(key, future)
                context.authorize(context.server.machine.view())  # rights may have changed meanwhile
                found = self._compute(context, query, options, key)
                if loop.time() >= deadline:
                    break
            return found
        finally:
            self.waiting -= 1
            if client:
                self._clients[client] -= 1
                if not self._clients[client]:
                    del self._clients[client]

    def end_waiting(self) -> None:
        """Answer everybody who waits with what there is, and let nobody wait any more."""
        self._ended = True
        for key in list(self._groups):
            self._wake(key)

    def _join(self, context: Context, key: Any, found: Found, future: asyncio.Future[None]) -> None:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
            group.watch = context.server.machine.store.watches.watch(found.watch, lambda _index: self._wake(key))
        group.futures.add(future)

    def _leave(self, key: Any, future: asyncio.Future[None]) -> None:
        group = self._groups.get(key)
        if group is None or future not in group.futures:
            return
        group.futures.discard(future)
        if not group.futures:
            self._end(key, group)

    def _wake(self, key: Any) -> None:
        group = self._groups.get(key)
        if group is not None:
            self._end(key, group)
            for future in group.futures:
                _finish(future)

    def _end(self, key: Any, group: _Group) -> None:
        del self._groups[key]
        if group.watch is not None:
            group.watch.cancel()

    def _answered(self, context: Context, found: Found) -> Answer:
        server = context.server
        if server.is_ready or not context.is_stale:
            known, contact = KNOWN, NO_CONTACT
        else:
            known = KNOWN if server.leader_address else UNKNOWN
            contact = (b"x-nomad-lastcontact", b"%d" % server.last_contact_ms())
        kind = JSON if found.status == 200 else TEXT
        headers: tuple[tuple[bytes, bytes], ...] = (kind, index_header(found.index), known, contact)
        if found.next_token:
            headers = (*headers, (b"x-nomad-nexttoken", found.next_token.encode()))
        return Answer(found.status, found.body, headers)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() if body else b""


def _without_waiting(context: Context) -> tuple[tuple[str, str], ...]:
    """The parameters that change what is found."""
    if not context.query:
        return ()
    return tuple(item for item in context.query.items() if item[0] not in ("index", "wait", "stale", "pretty"))
