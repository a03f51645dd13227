from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from yurt.fsm.errors import Refusal
from yurt.fsm.structs.evaluation import Evaluation
from yurt.server.http.asgi.context import PLAIN, ReadOptions
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import CHUNK_BYTES, CHUNKS_SHARED, ListBody, Listing
from yurt.server.platform.turns import Steps, Turns


def options(**given: Any) -> ReadOptions:
    made = ReadOptions.__new__(ReadOptions)
    for name in ReadOptions.__slots__:
        setattr(made, name, given.get(name, getattr(PLAIN, name)))
    return made


def run(listing: Listing) -> tuple[Found, int]:
    """What a listing finds, and in how many steps."""
    steps, count = listing.steps(), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


def as_json(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def whole(body: ListBody) -> list[bytes]:
    async def read() -> list[bytes]:
        return [bytes(chunk) async for chunk in body.chunks(Turns(), "")]

    return asyncio.run(read())


@pytest.mark.parametrize("count", [0, 1, 200, 5000])
def test_a_body_in_chunks_is_the_same_bytes(count: int) -> None:
    rows = [{"ID": f"{number:0100d}"} for number in range(count)]
    found, _ = run(Listing(rows, as_json, 7, ()))
    wanted = as_json(rows)
    if count <= 200:
        assert (found.body, found.rows) == (wanted, None)
    else:
        assert found.body == b""
        assert isinstance(found.rows, ListBody)
        chunks = whole(found.rows)
        assert b"".join(chunks) == wanted
        assert max(map(len, chunks)) < CHUNK_BYTES + 200


def test_a_long_body_is_indented_like_a_short_one() -> None:
    rows = [{"ID": f"{number:0100d}", "Meta": {"a": ["ü\n"]}} for number in range(2000)]
    found, _ = run(Listing(rows, as_json, 7, ()))
    assert isinstance(found.rows, ListBody)
    text = json.dumps(rows, indent=4, ensure_ascii=False) + "\n"
    assert b"".join(whole(found.rows.pretty())) == text.encode()


def chunk(body: ListBody, number: int) -> bytes | None:
    """A chunk, made without turns."""
    steps = body.chunk(number)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: bytes | None = end.value
            return found


def test_readers_share_the_newest_chunks_and_a_slow_one_makes_its_own() -> None:
    made: list[int] = []

    def form(row: int) -> bytes:
        made.append(row)
        return b"x" * CHUNK_BYTES

    body = ListBody(list(range(CHUNKS_SHARED * 2)), form)
    first = [chunk(body, number) for number in range(3)]
    assert first == [chunk(body, number) for number in range(3)]
    assert made == [0, 1, 2]
    for number in range(3, CHUNKS_SHARED * 2):
        chunk(body, number)
    assert chunk(body, CHUNKS_SHARED * 2) is None
    assert len(body._recent) == CHUNKS_SHARED
    made.clear()
    assert chunk(body, 0) == first[0]
    assert made == [0], "what nobody shares is made anew and not kept"
    assert len(body._recent) == CHUNKS_SHARED


def test_readers_that_want_the_same_chunk_make_it_together() -> None:
    made: list[int] = []

    def form(row: int) -> Steps[bytes]:
        for _ in range(1000):
            yield
        made.append(row)
        return b"%d" % row

    async def read(body: ListBody, turns: Turns) -> bytes:
        return b"".join([bytes(chunk) async for chunk in body.chunks(turns, "")])

    async def main() -> None:
        milliseconds = count()
        turns = Turns(lambda: next(milliseconds) / 1000)
        body = ListBody(list(range(2000)), form)
        assert set(await asyncio.gather(*(read(body, turns) for _ in range(5)))) == {as_json(list(range(2000)))}

    asyncio.run(main())
    assert made == list(range(2000))


def test_what_breaks_while_a_chunk_is_made_breaks_for_every_reader() -> None:
    def form(row: int) -> Steps[bytes]:
        yield
        raise Refusal(400, str(row))

    body = ListBody([1], form)
    for _ in range(2):
        with pytest.raises(Refusal):
            chunk(body, 0)


def test_a_full_page_ends_the_pass() -> None:
    looked: list[int] = []

    def rows() -> Iterator[Any]:
        for number in range(100_000):
            looked.append(number)
            yield Evaluation(id=f"{number:06d}", status="pending" if number % 10 == 0 else "complete")

    wanted = options(per_page=25, filter='Status == "pending"')
    found, _ = run(Listing(rows(), lambda row: as_json(row.id), 1, (), wanted, lambda row: str(row.id)))
    assert json.loads(found.body) == [f"{number:06d}" for number in range(0, 250, 10)]
    assert found.next_token == "000250"
    assert len(looked) == 251


def test_a_row_that_the_filter_does_not_fit_is_an_error_before_any_byte() -> None:
    rows = [Evaluation(id=str(number)) for number in range(10)]
    with pytest.raises(Refusal, match="failed to read result page"):
        run(Listing(rows, lambda _: b"", 1, (), options(filter='Nothing == "x"')))


def test_each_row_is_a_step_also_one_that_is_not_in_the_list() -> None:
    _, count = run(Listing([None] * 50 + ["x"] * 50, as_json, 1, ()))
    assert count == 150, "each row is looked at, those of the list are encoded too"


def test_an_index_that_depends_on_the_rows_is_the_newest() -> None:
    def index_of(row: int) -> Steps[int]:
        yield
        return row

    found, _ = run(Listing([3, 9, 4], as_json, 0, (), index_of=index_of))
    assert found.index == 9


def test_readers_of_an_indented_list_share_it_and_keep_the_list_it_is_made_of() -> None:
    found, _ = run(Listing([{"ID": f"{number:0100d}"} for number in range(2000)], as_json, 7, ()))
    assert found.rows is not None
    one, other = found.rows.pretty(), found.rows.pretty()
    assert one is other
    kept = weakref.ref(found.rows)
    del found, other
    assert kept() is not None, "what the list keeps counts until it is read"
    del one
    assert kept() is None
