"""The row of an endpoint: its path, the permission it needs, and its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Never

from yurt.server.acl.need import Need, need
from yurt.server.http.asgi.context import Answer, Context
from yurt.server.http.query.reads import Query

Handler = Callable[[Context], Awaitable[Answer]]
BODY_BYTES_MAX = 1 << 20
JOB_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class Plain:
    """An answer that is no JSON: its content type, empty for no body at all."""

    media_type: str = ""
    status: int = 200


NOTHING, NO_CONTENT, TEXT = Plain(), Plain(status=204), Plain("text/plain")
REFUSED = Never  # whatever is asked


@dataclass(frozen=True)
class Route:
    """One endpoint.

    `get` reads (a query that may block), `getter` reads without a query, `put` and `delete` write. `any_method`: every
    method reads. `local`: any server answers at once. `leader`: only the leader can answer, also a read. `only_put`:
    POST is not the same as PUT. `reads_by_post`: POST is the same as GET, with a body. `wrong_method`: the status that
    other methods get. `options_error`: what is added to the text of a wrong parameter. `streams_body`: any server takes
    a write's body as it comes. `get_has_effects`: GET changes something, so that pages of other sites may not ask for
    it. `capability` is what a token needs (`server.acl.need`), `put_capability` and `delete_capability` where that is
    another. `body` is the record of the body of a write, or of what is read by POST.

    `answer` is what a read answers, `put_answer` and `delete_answer` what a write does: a type whose JSON it is, `Any`
    for JSON of any shape, a `Plain`, `REFUSED`, or several of these in a tuple. The description is made of them.
    """

    path: str
    capability: str
    get: Query | None = None
    getter: Handler | None = None
    put: Handler | None = None
    delete: Handler | None = None
    any_method: bool = False
    local: bool = False
    leader: bool = False
    wrong_method: int = 405
    only_put: bool = False
    reads_by_post: bool = False
    body_bytes_max: int = BODY_BYTES_MAX
    streams_body: bool = False
    get_has_effects: bool = False
    body: type[Any] | None = None
    answer: Any = Any
    put_answer: Any = Any
    delete_answer: Any = Any
    options_error: str = ""
    put_capability: str | None = None
    delete_capability: str | None = None

    def answers(self, method: str) -> tuple[Any, ...]:
        """The shapes of a method's answers; its name in small letters."""
        writes = {"put": self.put_answer, "delete": self.delete_answer}
        if not self.reads_by_post:
            writes["post"] = self.put_answer
        given = writes.get(method, self.answer)
        return given if isinstance(given, tuple) else (given,)

    def need(self, method: str) -> Need:
        """Return the permission that a request of a method needs."""
        given = None
        if not self.any_method and method != "GET":
            given = self.delete_capability if method == "DELETE" else self.put_capability
        return need(self.capability if given is None else given)


def refusing(path: str, capability: str, handler: Handler, *, local: bool = False) -> Route:
    """An endpoint that refuses whatever is asked."""
    return Route(
        path,
        capability,
        getter=handler,
        put=handler,
        delete=handler,
        local=local,
        answer=REFUSED,
        put_answer=REFUSED,
        delete_answer=REFUSED,
    )
