"""Lists: rows chosen step by step, and bodies made of them in chunks (spec jobs-api §2.8, §2.9; design: The loop)."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from typing import Any, NamedTuple

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.filter import Filter, FilterError, compile_filter
from yurt.fsm.store.schema import Table
from yurt.fsm.store.watches import WatchItem
from yurt.fsm.structs.base import to_json
from yurt.server.http.asgi.context import PLAIN, Context, ReadOptions
from yurt.server.http.asgi.pretty import indented
from yurt.server.http.query.found import Found
from yurt.server.platform.turns import Steps, Turns

CHUNK_BYTES = 128 << 10
CHUNK_ROWS_MAX = 256
CHUNKS_SHARED = 16  # of one body, the newest
POINTER_BYTES = 8

Rows = Iterable[Any]  # rows, and None for a row that was looked at and does not belong to the list
Form = Callable[[Any], bytes]  # a row's JSON
SteppedForm = Callable[[Any], bytes | Steps[bytes]]  # the same, in steps where a row has much below it


class Listing:
    """The answer of a list query: rows to be looked at, and the form in which each is encoded.

    Nothing is looked at before `steps` runs, a row a step; the pass is given up as soon as the page is full. `place_of`
    is what rows are ordered by, `start` the place of the page's first row (None: from the beginning), `token_of` the
    page token of a row. `index_of` finds the index of a row where the list's index is the newest of those shown; the
    index is then known at the end. `as_seen` is the part of a row that the caller may see, where that is not the whole
    row (`Partial`); the filter sees no more.
    """

    __slots__ = (
        "as_seen", "form", "index", "index_of", "options", "place_of", "rows", "start", "token_of", "wanted", "watch",
    )  # fmt: skip

    def __init__(
        self,
        rows: Rows,
        form: SteppedForm,
        index: int,
        watch: tuple[WatchItem, ...],
        options: ReadOptions = PLAIN,
        token_of: Callable[[Any], str] = str,
        *,
        place_of: Callable[[Any], Any] | None = None,
        start: Any = None,
        index_of: Callable[[Any], Steps[int]] | None = None,
        as_seen: Callable[[Any], Any] | None = None,
    ) -> None:
        self.rows, self.form, self.index, self.watch = rows, form, index, watch
        self.options, self.token_of = options, token_of
        self.wanted = filter_of(options)
        self.place_of = place_of or token_of
        self.start = options.next_token or None if start is None else start
        self.index_of, self.as_seen = index_of, as_seen

    @property
    def index_is_known(self) -> bool:
        """Whether `index` is right before the rows are looked at."""
        return self.index_of is None

    def choose(self) -> Generator[None, None, tuple[list[Any], str]]:
        """The rows of one page and the token of the next, empty for none; raises Refusal(400)."""
        start, size, reverse = self.start, self.options.per_page, self.options.reverse
        wanted, as_seen = self.wanted, self.as_seen
        chosen: list[Any] = []
        for row in self.rows:
            is_reached = row is not None and (start is None or self._is_reached(row, start, reverse))
            if is_reached and (wanted is None or _matches(wanted, as_seen(row) if as_seen else row)):
                if size and len(chosen) >= max(size, 0):
                    return chosen, self.token_of(row)
                chosen.append(row)
            yield
        return chosen, ""

    def _is_reached(self, row: Any, start: Any, reverse: bool) -> bool:
        place = self.place_of(row)
        return bool(place <= start if reverse else place >= start)

    def steps(self) -> Steps[Found]:
        """Look at the rows; what was found has the whole body if it is small, else the rows of it."""
        chosen, token = yield from self.choose()
        self.rows = ()
        index = self.index
        if self.index_of is not None:
            for row in chosen:
                index = max(index, (yield from self.index_of(row)))
                yield
        body = ListBody(chosen, self.form)
        first = yield from body.make(0)
        if body.is_whole:
            return Found(first, index, self.watch, next_token=token)
        return Found(b"", index, self.watch, next_token=token, rows=body)


class Frame(NamedTuple):
    """The bytes around and between the rows."""

    first: bytes = b"["
    between: bytes = b","
    last: bytes = b"]"


PRETTY = Frame(b"[\n    ", b",\n    ", b"\n]\n")


class ListBody:
    """The body of a long list. A chunk is made when it is sent, so that a slow client holds no memory.

    Requests that share a body share the chunks that were made last; whoever is behind makes its own.
    """

    __slots__ = ("__weakref__", "_ends", "_form", "_frame", "_making", "_pretty", "_recent", "_rows")

    def __init__(self, rows: list[Any], form: SteppedForm, frame: Frame = Frame()) -> None:
        self._rows, self._form, self._frame = rows, form, frame
        self._ends: list[int] = []  # of each chunk that was made, the row behind it
        self._recent: dict[int, bytes] = {}
        self._making: Steps[bytes] | None = None  # of the next new chunk; every reader that wants it goes on with it
        self._pretty: weakref.ref[ListBody] | None = None  # which has this one, by its form

    @property
    def is_whole(self) -> bool:
        """Whether the first chunk, which was made, is all there is."""
        return self._ends[0] == len(self._rows)

    @property
    def kept_bytes(self) -> int:
        """The approximate bytes of the row list and the shared chunks, plain and indented; the first chunk was made."""
        whole = len(self._recent[0]) * len(self._rows) // max(1, self._ends[0])
        return len(self._rows) * POINTER_BYTES + 2 * min(whole, CHUNKS_SHARED * CHUNK_BYTES)

    def chunk(self, number: int) -> Steps[bytes | None]:
        """Find or make a chunk, None behind the last one; they are asked for in turn."""
        while (chunk := self._recent.get(number)) is None:
            if number and self._ends[number - 1] == len(self._rows):
                return None
            if number < len(self._ends):
                return (yield from self.make(number))
            making, self._making = self._making or self.make(number), None
            if next(making, self) is not self:
                self._making = making
                yield
        return chunk

    def make(self, number: int) -> Steps[bytes]:
        """Make a chunk, a row a step."""
        at = self._ends[number - 1] if number else 0
        parts: list[bytes] = []
        size = 0
        for row in self._rows[at : at + CHUNK_ROWS_MAX]:
            formed = self._form(row)
            part = formed if isinstance(formed, bytes) else (yield from formed)
            parts.append(part)
            size += len(part)
            yield
            if size >= CHUNK_BYTES:
                break
        end = at + len(parts)
        if number == len(self._ends):
            self._ends.append(end)
        first, between, last = self._frame
        chunk = (between if number else first) + between.join(parts) + (last if end == len(self._rows) else b"")
        if number >= len(self._ends) - CHUNKS_SHARED:
            self._recent[number] = chunk
            self._recent.pop(len(self._ends) - CHUNKS_SHARED - 1, None)
        return chunk

    async def chunks(self, turns: Turns, client: str) -> AsyncIterator[bytes | memoryview]:
        """All chunks, each made in turns of the client's own."""
        number = 0
        while (chunk := await turns.run(self.chunk(number), client)) is not None:
            yield chunk
            number += 1

    def pretty(self) -> ListBody:
        """The same list, indented; one for all who read it at the same time."""
        made = self._pretty() if self._pretty is not None else None
        if made is None:
            made = ListBody(self._rows, self._indented_form, PRETTY)
            self._pretty = weakref.ref(made)
        return made

    def _indented_form(self, row: Any) -> Steps[bytes]:
        formed = self._form(row)
        return indented(formed if isinstance(formed, bytes) else (yield from formed), 1)


def filter_of(options: ReadOptions) -> Filter | None:
    """The compiled filter; raises Refusal(400)."""
    if not options.filter:
        return None
    try:
        return compile_filter(options.filter)
    except FilterError as error:
        text = f"failed to create result paginator: failed to read filter expression: {error}"
        raise Refusal(400, text) from None


def _matches(wanted: Filter, row: object) -> bool:
    try:
        return wanted.matches(row)
    except FilterError as error:
        raise Refusal(400, f"failed to read result page: {error}") from None


def stored(context: Context, table: Table[Any, Any], form: Form = to_json) -> Form:
    """How rows of a table are encoded: each once, as long as it is the stored one."""
    encoded = context.server.machine.store.encoded
    return lambda row: encoded(table, row, form)


def join(bodies: Iterable[bytes]) -> bytes:
    """A JSON list of encoded items."""
    return b"[" + b",".join(bodies) + b"]"
