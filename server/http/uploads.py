"""Bodies of requests: read from callers that may send them, within the room that all of them share (S8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

from yurt.server.http.context import Answer, text
from yurt.server.http.limits import declared_length

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Admit = Callable[[], Awaitable[Answer | None]]
UNASKED_BYTES = 64 << 10  # so much of a body is read before its sender is looked at
TOO_LARGE = text(413, "Request body is too large")


class Unread(Exception):
    """The rest of a body is not read: the request has its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ClientGone(Exception):
    """The client went away before its body was whole: there is nothing to do, and nobody to tell."""


class Reserved:
    """The bytes of one request's body, as far as they have come; held until the request has its answer."""

    __slots__ = ("_room", "size")

    def __init__(self, room: BodyRoom) -> None:
        self._room, self.size = room, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._room.give_back(self.size)

    def take(self, size: int) -> None:
        """Hold so many more bytes; raises `Unread` if there is no room for them."""
        self._room.take(size)
        self.size += size


class BodyRoom:
    """The memory for the bodies of all requests in work."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held = 0  # 0 <= held <= bytes_max

    def reserve(self) -> Reserved:
        """Return what a request holds for its body: nothing yet."""
        return Reserved(self)

    def give_back(self, size: int) -> None:
        """Hold so many bytes less."""
        self.held -= size
        assert self.held >= 0

    def take(self, size: int) -> None:
        """Hold so many more bytes; raises `Unread` if there is no room for them."""
        if self.held + size > self.bytes_max:
            reason = f"bodies of other requests fill the {self.bytes_max >> 20} MiB that are set aside for them"
            hint = "nothing was done, try again in a second (limits { http_bodies_bytes_max })"
            raise Unread(text(429, f"{reason}; {hint}", (b"retry-after", b"1")))
        self.held += size


async def read_body(
    receive: Receive, headers: dict[bytes, bytes], limit: int, reserved: Reserved, admit: Admit
) -> bytes:
    """Return the whole body. `admit` is asked before more than a first part is read; its answer ends the reading.

    Raises `Unread`, `ClientGone`.
    """
    length = declared_length(headers)
    if length > limit:
        raise Unread(TOO_LARGE)
    is_admitted = False
    body = bytearray()
    while True:
        if not is_admitted and max(length, len(body)) > UNASKED_BYTES:
            if (refusal := await admit()) is not None:
                raise Unread(refusal)
            is_admitted = True
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        part = message.get("body", b"")
        if len(body) + len(part) > limit:
            raise Unread(TOO_LARGE)
        reserved.take(len(part))
        body += part
        if not message.get("more_body"):
            return bytes(body)
