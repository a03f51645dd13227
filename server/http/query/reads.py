"""Reads: found at once or waited for (spec jobs-api §2.6).

A query is a function from a view to what was found and what it depends on. What costs more than a page is a pass: steps
that are run in turns with other passes, over a view that does not change. Equal queries share one pass, one computation
and one watch: a thousand clients that wait for one job cost one lookup when it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from yurt.fsm.errors import Refusal
from yurt.fsm.job.decode import decode_body
from yurt.fsm.store.view import View
from yurt.server.http.asgi.context import JSON, TEXT, Answer, Context, ReadOptions, index_header, read_options
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing
from yurt.server.http.query.passes import Pass, Passes
from yurt.server.http.query.waiting import Waiting
from yurt.server.platform.turns import Steps
from yurt.server.platform.worker_thread import LARGE_BODY_BYTES

CACHED_MAX = 2048
CACHED_BODY_BYTES_MAX = 1 << 20
CACHED_BYTES_MAX = 64 << 20
KNOWN = (b"x-nomad-knownleader", b"true")
UNKNOWN = (b"x-nomad-knownleader", b"false")
NO_CONTACT = (b"x-nomad-lastcontact", b"0")

NOBODY = contextlib.nullcontext()  # who cannot go away

Query = Callable[[View, Context, ReadOptions], Found | Listing | Steps[Found]]


class Reads:
    """Runs queries for one server."""

    def __init__(self, *, waiters_max: int, jitter: Callable[[], float], waiters_max_per_client: int = 0) -> None:
        self._cache: dict[Any, Found] = {}  # of one state: bodies of earlier ones would never be asked for again
        self._cached_index = self._cached_bytes = 0
        self._passes = Passes()
        self._waiting = Waiting(waiters_max, waiters_max_per_client, jitter)

    @property
    def waiting(self) -> int:
        """How many blocking queries wait."""
        return self._waiting.count

    async def answer(self, context: Context, query: Query, form: type[Any] | None = None) -> Answer:
        """Run a query, or wait for it with `index`; `form` is the record of its body, decoded once into `given`.

        Raises Refusal(499) as soon as the client is gone.
        """
        with context.connection or NOBODY:
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
        """Return a query's result in the newest state; without the rows of a list that is not newer than `known`.

        Return also whether something that it depends on was written while a pass ran: a watch of now would miss that.
        """
        has_room, client, rooms = False, context.client, self._passes.rooms
        try:
            while True:
                view = context.server.machine.view()
                if (shared := self._shared(key, view.index)) is not None:
                    return shared, False
                if (running := self._passes.running(key, view.index)) is not None:
                    return await self._ended(running, view, context, key)
                result = query(view, context, options)
                if isinstance(result, Found):
                    return self._keep(key, view.index, result), False
                if isinstance(result, Listing):
                    if known and result.index_is_known and result.index <= known:
                        return Found(b"", result.index, result.watch), False
                    result = result.steps()
                if (ended := context.server.turns.begin(result)) is not None:
                    return self._keep(key, view.index, ended[0]), False
                if has_room or rooms.take_now(client):
                    has_room = False  # the pass has it from now on
                    running = self._passes.start(context.server.turns, view, result, key, client)
                    return await self._ended(running, view, context, key)
                result.close()
                del view, result
                await rooms.take(client)
                has_room = True
        finally:
            if has_room:
                rooms.give(client)

    async def _ended(self, running: Pass, view: View, context: Context, key: Any) -> tuple[Found, bool]:
        """Return the result of a pass over a view, and whether a table that it depends on was written meanwhile."""
        found = self._keep(key, view.index, await running.result())
        return found, not view.agrees(context.server.machine.view(), [table for table, _ in found.watch])

    def _shared(self, key: Any, index: int) -> Found | None:
        """Return the result of an equal query in the same state, if it is still there."""
        if index == self._cached_index and (kept := self._cache.get(key)) is not None:
            return kept
        return self._passes.found(key, index)

    def _keep(self, key: Any, index: int, found: Found) -> Found:
        if self._cache.get(key) is found:
            return found  # one who shared the pass was here before
        if found.rows is None and len(found.body) <= CACHED_BODY_BYTES_MAX and index >= self._cached_index:
            is_full = len(self._cache) >= CACHED_MAX or self._cached_bytes >= CACHED_BYTES_MAX
            if is_full or index > self._cached_index:
                self._cache.clear()
                self._cached_bytes, self._cached_index = 0, index
            self._cache[key] = found
            self._cached_bytes += len(found.body)
        return found

    async def _make(self, context: Context, found: Found, key: Any) -> None:
        """Make the body beside the loop, once for all who ask for it at the same time.

        Who shares what another client began is not refused with it, but begins it once for itself.
        """
        is_own = False
        while found.later is not None:
            if found.making is None:
                found.making, is_own = asyncio.ensure_future(context.beside_loop(found.later)), True
            making = found.making
            try:
                self._made(found, await asyncio.shield(making), key)
            except Exception as error:
                if found.making is making:
                    found.making = None
                if is_own or not isinstance(error, Refusal):
                    raise
            finally:
                del making  # an error's traceback has this frame

    def _made(self, found: Found, body: bytes, key: Any) -> None:
        """Take a body that was made, for all who share it."""
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
        client = context.client
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


async def _decoded(context: Context, form: type[Any]) -> Any:
    """Return the record that the body is; raises Refusal(400)."""
    body = context.body

    def work() -> Any:
        return msgspec.convert(decode_body(body, form), form)

    return await context.beside_loop(work) if len(body) >= LARGE_BODY_BYTES else work()


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() if body else b""


def _without_waiting(context: Context) -> tuple[tuple[str, str], ...]:
    """The parameters that change what is found."""
    if not context.query:
        return ()
    return tuple(item for item in context.query.items() if item[0] not in ("index", "wait", "stale", "pretty"))
