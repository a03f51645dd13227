"""Bodies: who sends a large one is asked first, and all together have so much room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from yurt.server.http.asgi.context import Answer, text
from yurt.server.http.asgi.uploads import FREE_BYTES, UNASKED_BYTES, BodyRoom, ClientGone, Reserved, Unread, read_body

PART = 16 << 10
LIMIT = 1 << 20


class Sender:
    """A client that sends a body in parts; counts how many were taken."""

    def __init__(self, size: int, *, declared: bool, goes_after: int = -1) -> None:
        self.left, self.taken, self.goes_after = size, 0, goes_after
        self.headers = {b"content-length": b"%d" % size} if declared else {}

    async def receive(self) -> dict[str, Any]:
        if 0 <= self.goes_after <= self.taken:
            return {"type": "http.disconnect"}
        part = min(PART, self.left)
        self.left -= part
        self.taken += part
        return {"type": "http.request", "body": b"x" * part, "more_body": self.left > 0}


def read(sender: Sender, room: BodyRoom, admit: Callable[[], Answer | None] = lambda: None) -> bytes:
    async def asked() -> Answer | None:
        return admit()

    async def run() -> bytes:
        with room.reserve("a") as reserved:
            return await read_body(sender.receive, sender.headers, LIMIT, reserved, asked)

    return asyncio.run(run())


@pytest.mark.parametrize("declared", [True, False])
def test_s8_a_stranger_sends_no_more_than_a_first_part(declared: bool) -> None:
    sender, room = Sender(LIMIT, declared=declared), BodyRoom(LIMIT, LIMIT)
    with pytest.raises(Unread) as unread:
        read(sender, room, lambda: text(403, "Permission denied"))
    assert unread.value.answer.status == 403 and room.held == 0
    assert sender.taken <= (0 if declared else UNASKED_BYTES + PART)


def test_s8_small_bodies_are_read_without_asking() -> None:
    def admit() -> Answer | None:
        raise AssertionError("it is asked later, with everything else")

    assert len(read(Sender(UNASKED_BYTES, declared=True), BodyRoom(LIMIT, LIMIT), admit)) == UNASKED_BYTES


@pytest.mark.parametrize("declared", [True, False])
def test_s8_a_sender_that_may_is_asked_once(declared: bool) -> None:
    asked = []
    body = read(Sender(LIMIT, declared=declared), BodyRoom(LIMIT, LIMIT), lambda: asked.append(1))
    assert len(body) == LIMIT and asked == [1]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_its_limit_is_not_read_to_its_end(declared: bool) -> None:
    sender = Sender(4 * LIMIT, declared=declared)
    with pytest.raises(Unread) as unread:
        read(sender, BodyRoom(8 * LIMIT, LIMIT))
    assert unread.value.answer.status == 413 and sender.taken <= (0 if declared else LIMIT + PART)


async def anybody() -> None:
    """Admits every sender."""


async def refused(size: int, room: BodyRoom, client: str) -> Answer:
    """The answer to a body that finds no room."""
    sender = Sender(size, declared=True)
    with pytest.raises(Unread) as unread, room.reserve(client) as reserved:
        await read_body(sender.receive, sender.headers, LIMIT, reserved, anybody)
    return unread.value.answer


async def hold(size: int, reserved: Reserved) -> None:
    sender = Sender(size, declared=True)
    assert len(await read_body(sender.receive, sender.headers, LIMIT, reserved, anybody)) == size


def test_s8_the_sum_of_all_bodies_is_bounded_and_given_back() -> None:
    room = BodyRoom(LIMIT, LIMIT)

    async def run() -> None:
        with room.reserve("a") as first:
            await hold(LIMIT // 2 + FREE_BYTES, first)
            assert room.held == LIMIT // 2
            answer = await refused(LIMIT, room, "b")
            assert answer.status == 429 and (b"retry-after", b"1") in answer.headers
            assert b"http_bodies_bytes_max" in answer.body and room.held == LIMIT // 2

    asyncio.run(run())
    assert room.held == 0
    assert len(read(Sender(LIMIT, declared=True), room)) == LIMIT


def test_s8_the_first_part_of_a_body_finds_room_however_full_it_is() -> None:
    room = BodyRoom(LIMIT, LIMIT)

    async def run() -> None:
        with room.reserve("a") as first, room.reserve("b") as filling, room.reserve("a") as more:
            await hold(LIMIT, first)
            await hold(2 * FREE_BYTES, filling)
            assert room.held == LIMIT
            await hold(FREE_BYTES, more)
            assert (await refused(FREE_BYTES + 1, room, "b")).status == 429

    asyncio.run(run())


def test_s8_one_client_does_not_fill_the_room() -> None:
    room = BodyRoom(8 * LIMIT, LIMIT)

    async def run() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(2):  # a quarter of the room: two bodies, less their first parts
                await hold(LIMIT, stack.enter_context(room.reserve("a")))
            answer = await refused(LIMIT, room, "a")
            assert answer.status == 429 and b"your address" in answer.body
            await hold(LIMIT, stack.enter_context(room.reserve("b")))

    asyncio.run(run())
    assert room.held == 0


def test_s8_one_largest_body_fits_in_a_share() -> None:
    assert len(read(Sender(LIMIT, declared=True), BodyRoom(2 * LIMIT, LIMIT))) == LIMIT


def test_room_is_given_back_once() -> None:
    room = BodyRoom(LIMIT, LIMIT)
    with room.reserve("a") as reserved:
        reserved.take(LIMIT)
        reserved.give_back()
        assert room.held == 0
    assert room.held == 0


def test_a_client_that_goes_away_is_no_request() -> None:
    room = BodyRoom(LIMIT, LIMIT)
    with pytest.raises(ClientGone):
        read(Sender(LIMIT, declared=True, goes_after=3 * PART), room)
    assert room.held == 0
