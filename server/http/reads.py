"""Reads: found at once or waited for (spec jobs-api §2.6).

A query is a function from a view to what was found and what it depends on. What costs more than a page is a pass: steps
that are run in turns with other passes, over a view that does not change. Equal queries share one pass, one computation
and one watch: a thousand clients that wait for one job cost one lookup when it changes.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from collections.abc import Callable
from typing import Any

import msgspec

from yurt.fsm.job.decode import decode_body
from yurt.fsm.store.view import View
from yurt.server.address import client_of
from yurt.server.background import LARGE_BODY_BYTES
from yurt.server.http.budget import Budget
from yurt.server.http.context import JSON, TEXT, Answer, Context, ReadOptions, index_header, read_options
from yurt.server.http.found import Found, LongBody
from yurt.server.http.listing import Listing
from yurt.server.http.waiting import Waiting
from yurt.server.turns import Steps

CACHED_MAX = 2048
CACHED_BODY_BYTES_MAX = 1 << 20
CACHED_BYTES_MAX = 64 << 20
PASSES_MAX = 32  # different ones at a time, with the long lists that are being sent: each keeps its rows
PASSES_MAX_PER_CLIENT = 8
KNOWN = (b"x-nomad-knownleader", b"true")
UNKNOWN = (b"x-nomad-knownleader", b"false")
NO_CONTACT = (b"x-nomad-lastcontact", b"0")

Query = Callable[[View, Context, ReadOptions], Found | Listing | Steps[Found]]


class _Pass:
    """A pass that runs, and how many requests wait for it."""

    __slots__ = ("index", "task", "users")

    def __init__(self, index: int, task: asyncio.Task[Found]) -> None:
        self.index, self.task, self.users = index, task, 0

    async def result(self) -> Found:
        """What it found; it is given up when nobody waits for it any more."""
        self.users += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self.users -= 1
            if not self.users:
                self.task.cancel()


class Reads:
    """Runs queries for one server."""

    def __init__(self, *, waiters_max: int, jitter: Callable[[], float], waiters_max_per_client: int = 0) -> None:
        self._cache: dict[Any, Found] = {}  # of one state: bodies of earlier ones would never be asked for again
        self._cached_index = self._cached_bytes = 0
        self._passes: dict[Any, _Pass] = {}
        self._long: dict[Any, tuple[int, Found, weakref.ref[LongBody]]] = {}  # long lists that are being sent
        self._room = Budget(PASSES_MAX, PASSES_MAX_PER_CLIENT)
        self._waiting = Waiting(waiters_max, waiters_max_per_client, jitter)

    @property
    def waiting(self) -> int:
        """How many blocking queries wait."""
        return self._waiting.count

    async def answer(self, context: Context, query: Query, form: type[Any] | None = None) -> Answer:
        """Run a query, or wait for it with `index`; `form` is the record of its body, decoded once into `given`."""
        options = read_options(context)
        key = (query, context.arguments, _without_waiting(context), context.secret, _digest(context.body))
        if form is not None and context.body:
            context.given = await _decoded(context, form)
        context.drop_body()
        found, is_old = await self._find(context, query, options, key, options.index)
        if options.index > 0 and found.index <= options.index:
            index, watch = found.index, found.watch
            del found  # its body would stay as long as the wait
            found = await self._wait(context, query, options, key, index, watch, is_old)
        if found.later is not None:
            await self._make(context, found, key)
        return self._answered(context, found)

    async def _find(
        self, context: Context, query: Query, options: ReadOptions, key: Any, known: int = 0
    ) -> tuple[Found, bool]:
        """What a query finds in the newest state; without the rows of a list that is not newer than `known`.

        Also whether something that it depends on was written while a pass ran: a watch of now would miss that.
        """
        has_room, client = False, client_of(context.address)
        try:
            while True:
                view = context.server.machine.view()
                if (shared := self._shared(key, view.index)) is not None:
                    return shared, False
                if (running := self._passes.get(key)) is not None and running.index == view.index and running.users:
                    return await _ended(running, view, context)
                result = query(view, context, options)
                if isinstance(result, Found):
                    return self._keep(key, view.index, result), False
                if isinstance(result, Listing):
                    if known and result.index_is_known and result.index <= known:
                        return Found(b"", result.index, result.watch), False
                    result = result.steps()
                if (ended := context.server.turns.begin(result)) is not None:
                    return self._keep(key, view.index, ended[0]), False
                if has_room or self._room.take_now(1, client):
                    has_room = False  # the pass has it from now on
                    return await _ended(self._start(context, view, result, key, client), view, context)
                result.close()
                del view, result
                await self._room.take(1, client)
                has_room = True
        finally:
            if has_room:
                self._room.give(1, client)

    def _shared(self, key: Any, index: int) -> Found | None:
        """What an equal query found in the same state, if it is still there."""
        if index == self._cached_index and (kept := self._cache.get(key)) is not None:
            return kept
        if (long := self._long.get(key)) is not None and long[0] == index and (rows := long[2]()) is not None:
            return Found(b"", long[1].index, long[1].watch, next_token=long[1].next_token, rows=rows)
        return None

    def _keep(self, key: Any, index: int, found: Found) -> Found:
        if found.rows is None and len(found.body) <= CACHED_BODY_BYTES_MAX and index >= self._cached_index:
            is_full = len(self._cache) >= CACHED_MAX or self._cached_bytes >= CACHED_BYTES_MAX
            if is_full or index > self._cached_index:
                self._cache.clear()
                self._cached_bytes, self._cached_index = 0, index
            self._cache[key] = found
            self._cached_bytes += len(found.body)
        return found

    def _start(self, context: Context, view: View, steps: Steps[Found], key: Any, client: str) -> _Pass:
        """Go on with a pass over a view that was taken in this round of the loop."""
        view.pin()

        async def run() -> Found:
            rows = None
            try:
                found = self._keep(key, view.index, await context.server.turns.run(steps))
                rows = found.rows
                return found
            finally:
                steps.close()
                view.unpin()
                if self._passes.get(key) is running:
                    del self._passes[key]
                if rows is None:
                    self._room.give(1, client)
                else:
                    self._share(key, view.index, found, rows, client)

        running = self._passes[key] = _Pass(view.index, asyncio.ensure_future(run()))
        return running

    def _share(self, key: Any, index: int, found: Found, rows: LongBody, client: str) -> None:
        """Let equal queries have a long list as long as it is being sent; it gives its room back after that."""
        entry = (index, Found(b"", found.index, found.watch, next_token=found.next_token), weakref.ref(rows))
        self._long[key] = entry

        def forget() -> None:
            if self._long.get(key) is entry:
                del self._long[key]
            self._room.give(1, client)

        weakref.finalize(rows, forget).atexit = False

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
        if self._cache.get(key) is found:
            if len(body) > CACHED_BODY_BYTES_MAX:
                del self._cache[key]
            else:
                self._cached_bytes += len(body)

    async def _wait(
        self, context: Context, query: Query, options: ReadOptions, key: Any, index: int, watch: Any, is_old: bool
    ) -> Found:
        waiting, server = self._waiting, context.server
        loop = asyncio.get_running_loop()
        deadline = waiting.deadline(options.wait_seconds)
        client = client_of(context.address)
        waiting.begin(client)
        try:
            while index <= options.index and not waiting.has_ended:
                if not is_old:
                    await waiting.wait(server.machine.store.watches, watch, key, deadline)
                context.authorize(server.machine.view())  # rights may have changed meanwhile
                if loop.time() >= deadline:
                    break
                found, is_old = await self._find(context, query, options, key, options.index)
                index, watch = found.index, found.watch
                if index > options.index:
                    return found
                del found
        finally:
            waiting.leave(client)
        return (await self._find(context, query, options, key))[0]

    def end_waiting(self) -> None:
        """Answer everybody who waits with what there is, and let nobody wait any more."""
        self._waiting.end()

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
        return Answer(found.status, found.body, headers, rows=found.rows)


async def _ended(running: _Pass, view: View, context: Context) -> tuple[Found, bool]:
    """What a pass over a view found, and whether something that it depends on was written meanwhile."""
    found = await running.result()
    return found, not view.agrees(context.server.machine.view(), [table for table, _ in found.watch])


async def _decoded(context: Context, form: type[Any]) -> Any:
    """Return the record that the body is; raises Refusal(400)."""
    body = context.body

    def work() -> Any:
        return msgspec.convert(decode_body(body, form), form)

    return await context.server.background.run(work) if len(body) >= LARGE_BODY_BYTES else work()


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() if body else b""


def _without_waiting(context: Context) -> tuple[tuple[str, str], ...]:
    """The parameters that change what is found."""
    if not context.query:
        return ()
    return tuple(item for item in context.query.items() if item[0] not in ("index", "wait", "stale", "pretty"))
