"""Bodies: who sends a large one is asked first, and all together have so much room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from yurt.server.http.context import Answer, text
from yurt.server.http.uploads import UNASKED_BYTES, BodyRoom, ClientGone, Unread, read_body

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
        with room.reserve() as reserved:
            return await read_body(sender.receive, sender.headers, LIMIT, reserved, asked)

    return asyncio.run(run())


@pytest.mark.parametrize("declared", [True, False])
def test_s8_a_stranger_sends_no_more_than_a_first_part(declared: bool) -> None:
    sender, room = Sender(LIMIT, declared=declared), BodyRoom(LIMIT)
    with pytest.raises(Unread) as unread:
        read(sender, room, lambda: text(403, "Permission denied"))
    assert unread.value.answer.status == 403 and room.held == 0
    assert sender.taken <= (0 if declared else UNASKED_BYTES + PART)


def test_s8_small_bodies_are_read_without_asking() -> None:
    def admit() -> Answer | None:
        raise AssertionError("it is asked later, with everything else")

    assert len(read(Sender(UNASKED_BYTES, declared=True), BodyRoom(LIMIT), admit)) == UNASKED_BYTES


@pytest.mark.parametrize("declared", [True, False])
def test_s8_a_sender_that_may_is_asked_once(declared: bool) -> None:
    asked = []
    body = read(Sender(LIMIT, declared=declared), BodyRoom(LIMIT), lambda: asked.append(1))
    assert len(body) == LIMIT and asked == [1]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_its_limit_is_not_read_to_its_end(declared: bool) -> None:
    sender = Sender(4 * LIMIT, declared=declared)
    with pytest.raises(Unread) as unread:
        read(sender, BodyRoom(8 * LIMIT))
    assert unread.value.answer.status == 413 and sender.taken <= (0 if declared else LIMIT + PART)


def test_s8_the_sum_of_all_bodies_is_bounded_and_given_back() -> None:
    room = BodyRoom(LIMIT)

    async def run() -> None:
        async def admit() -> None:
            return None

        with room.reserve() as first, room.reserve() as second:
            one, two, three = Sender(LIMIT // 2, declared=True), Sender(LIMIT, declared=True), Sender(9, declared=True)
            await read_body(one.receive, one.headers, LIMIT, first, admit)
            with pytest.raises(Unread) as unread:
                await read_body(two.receive, two.headers, LIMIT, second, admit)
            answer = unread.value.answer
            assert answer.status == 429 and (b"retry-after", b"1") in answer.headers
            assert b"http_bodies_bytes_max" in answer.body and room.held <= LIMIT
            with pytest.raises(Unread), room.reserve() as third:
                await read_body(three.receive, three.headers, LIMIT, third, admit)

    asyncio.run(run())
    assert room.held == 0
    assert len(read(Sender(LIMIT, declared=True), room)) == LIMIT


def test_a_client_that_goes_away_is_no_request() -> None:
    room = BodyRoom(LIMIT)
    with pytest.raises(ClientGone):
        read(Sender(LIMIT, declared=True, goes_after=3 * PART), room)
    assert room.held == 0
