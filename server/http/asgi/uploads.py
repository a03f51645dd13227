"""Bodies of requests: read from callers that may send them, within the room that all of them share (S8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

from yurt.server.http.asgi.budget import Budget
from yurt.server.http.asgi.context import Answer, text
from yurt.server.http.asgi.limits import declared_length

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Admit = Callable[[], Awaitable[Answer | None]]
UNASKED_BYTES = 64 << 10  # so much of a body is read before its sender is looked at
FREE_BYTES = UNASKED_BYTES  # so much of each body finds room whatever others send: connections bound it
CLIENTS_MIN = 4  # so many must send large bodies at once to fill the room
TOO_LARGE = text(413, "Request body is too large")


class Unread(Exception):
    """The rest of a body is not read: the request has its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ClientGone(Exception):
    """The client went away before its body was whole: there is nothing to do, and nobody to tell."""


class Reserved:
    """The room of one client's request for its body, as far as it has come.

    It is given back once: when nothing needs the body any more, at the latest when the request has its answer.
    """

    __slots__ = ("_client", "_counted", "_room", "_size")

    def __init__(self, room: BodyRoom, client: str) -> None:
        self._room, self._client = room, client
        self._size = self._counted = 0  # _counted = max(0, _size - FREE_BYTES) until it is given back

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.give_back()

    def take(self, size: int) -> None:
        """Hold so many more bytes; raises `Unread` if there is no room for them."""
        more = max(0, self._size + size - FREE_BYTES) - self._counted
        if more:
            self._room.take(more, self._client)
        self._size += size
        self._counted += more

    def give_back(self) -> None:
        """Hold nothing any more."""
        if self._counted:
            self._room.give_back(self._counted, self._client)
        self._size = self._counted = 0


class BodyRoom:
    """The memory for the bodies of all requests in work, but for the first `FREE_BYTES` of each.

    One client may have a quarter of it, or its one body of `largest` bytes if that is more.
    """

    def __init__(self, bytes_max: int, largest: int) -> None:
        self.bytes_max = bytes_max
        self.share = min(bytes_max, max(bytes_max // CLIENTS_MIN, largest))
        self._budget = Budget(bytes_max, self.share)

    @property
    def held(self) -> int:
        """The bytes that are counted now."""
        return self._budget.taken

    def reserve(self, client: str) -> Reserved:
        """Return what a request of a client holds for its body: nothing yet."""
        return Reserved(self, client)

    def give_back(self, size: int, client: str) -> None:
        """Hold so many bytes less."""
        self._budget.give(size, client)

    def take(self, size: int, client: str) -> None:
        """Hold so many more bytes; raises `Unread` if there is no room for them."""
        if self._budget.take_now(size, client):
            return
        if self._budget.taken_by(client) + size > self.share:
            reason = f"bodies of other requests of your address fill the {self.share >> 20} MiB that one may have"
        else:
            reason = f"bodies of other requests fill the {self.bytes_max >> 20} MiB that are set aside for them"
        hint = "nothing was done, try again in a second (limits { http_bodies_bytes_max })"
        raise Unread(text(429, f"{reason}; {hint}", (b"retry-after", b"1")))


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
