"""A request as handlers see it, and the answer they give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from copy import copy
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import parse_qsl

from yurt.fsm.commands import AUTHORS_SINCE
from yurt.fsm.errors import Refusal
from yurt.fsm.lang.duration import parse_duration
from yurt.fsm.lang.strconv import parse_bool, parse_int, parse_uint
from yurt.fsm.structs.author import Author
from yurt.server.acl.authority import ACLS_DISABLED, Identity, denied
from yurt.server.acl.need import Need
from yurt.server.acl.statements import HEADER, request_digest
from yurt.server.platform.address import client_of

if TYPE_CHECKING:
    from yurt.fsm.store.view import View
    from yurt.server.http.asgi.client_connection import ClientConnection
    from yurt.server.http.query.found import LongBody
    from yurt.server.platform.turns import Turns
    from yurt.server.server import Server

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
VARY = (b"vary", b"Accept-Encoding")
WAIT_SECONDS_MAX = 300.0
QUERY_BYTES_MAX = 8192
T = TypeVar("T")


class Answer:
    """Status, headers and body; in its place `rows`, a body too long to be whole, or a stream of pieces without end."""

    __slots__ = ("body", "headers", "rows", "status", "stream")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        *,
        stream: AsyncIterator[bytes] | None = None,
        rows: LongBody | None = None,
    ) -> None:
        self.status, self.body, self.headers, self.stream, self.rows = status, body, headers, stream, rows

    def with_headers(self, *headers: tuple[bytes, bytes]) -> Self:
        """The same answer with more headers, whatever its body is."""
        found = copy(self)
        found.headers = (*self.headers, *headers)
        return found

    async def whole(self, turns: Turns, client: str) -> bytes:
        """The body, also if it is a long one, for readers in other processes and in this one."""
        return self.body if self.rows is None else b"".join([chunk async for chunk in self.rows.chunks(turns, client)])


class FileAnswer(Answer):
    """An answer whose body is a file, from its position on; it is closed when it was sent, or could not be."""

    __slots__ = ("file", "size")

    def __init__(self, file: IO[bytes], size: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        super().__init__(200, b"", headers)
        self.file, self.size = file, size


def text(status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """A plain text answer, as errors are."""
    return Answer(status, message.encode(), (TEXT, *headers))


def json_answer(body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    """A JSON answer."""
    return Answer(200, body, (JSON, *headers))


def index_header(index: int) -> tuple[bytes, bytes]:
    """X-Nomad-Index."""
    return (b"x-nomad-index", b"%d" % index)


@lru_cache(1024)
def parse_query(raw: bytes) -> dict[str, str]:
    """The query's parameters; the first value of each counts."""
    found: dict[str, str] = {}
    for key, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="utf-8"):
        found.setdefault(key, value)
    return found


NOTHING = Need("nothing")


class Context:
    """One request. `path` is percent-decoded; `arguments` are what the route took out of it.

    `need` is what its route and method ask for, `identity` who it comes from, `address` where from (of a request that
    was handed over: as the first server saw it). `is_inside`: from the node agent of a server's own process.
    `route` is the path of the endpoint, `handed_over` whether another server answers. `give_back` gives back the room
    that the body has, `given` is the record that the body of a query is. `connection` is the client's.
    """

    __slots__ = (
        "_give_back", "_receive", "address", "arguments", "body", "connection", "forwarded", "given", "handed_over",
        "headers", "identity", "is_inside", "method", "need", "path", "query", "raw_query", "route", "server",
    )  # fmt: skip

    def __init__(
        self,
        server: Server,
        method: str,
        path: str,
        raw_query: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        *,
        forwarded: bool = False,
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]] | None = None,
        address: str = "",
        give_back: Callable[[], None] | None = None,
        connection: ClientConnection | None = None,
    ) -> None:
        self.server, self.method, self.path, self.raw_query = server, method, path, raw_query
        self.headers, self.body, self.forwarded, self.address = headers, body, forwarded, address
        self.query = parse_query(raw_query) if raw_query else {}
        self.arguments: tuple[str, ...] = ()
        self.need, self.identity, self.is_inside = NOTHING, ACLS_DISABLED, False
        self.route, self.handed_over = "", False
        self.given: Any = None
        self._receive, self._give_back, self.connection = receive, give_back, connection

    async def parts(self) -> AsyncIterator[bytes]:
        """The body as it comes, on a route that streams it; raises Refusal(400) if the client goes away."""
        if self._receive is None:
            yield self.body
            return
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Refusal(400, "the client went away")
            more = bool(message.get("more_body"))
            yield message.get("body", b"")

    def drop_body(self) -> None:
        """Keep the body no longer, and give its room back: all that it says is known, or the request has its answer."""
        self.body = b""
        if self._give_back is not None:
            self._give_back()

    @property
    def namespace(self) -> str:
        """The query's namespace, else `default`."""
        return self.query.get("namespace") or "default"

    @property
    def secret(self) -> str:
        """The token that the request shows, empty for none."""
        if given := self.headers.get(b"x-nomad-token"):
            return given.decode("latin-1").strip()
        return self.bearer

    @property
    def bearer(self) -> str:
        """The token of the Authorization header, empty for none."""
        scheme, *words = self.headers.get(b"authorization", b"").decode("latin-1").split() or [""]
        return words[0] if words and scheme.lower() == "bearer" else ""

    def authorize(self, view: View) -> None:
        """Find out who asks, and whether they may, as of a state; raises Refusal(403)."""
        server = self.server
        if server.authority.enabled and self.need.kind != "secret":
            self.identity = self.identify(view, self.digest)
            self.need.check(self)

    def identify(self, view: View, digest: str | None) -> Identity:
        """Return who asks, by another server's statement or a token; raises Refusal(403).

        `digest` is the one by which a statement names this request, None as long as the body is not there.
        """
        server = self.server
        text, agent = self.headers.get(HEADER), server.node_agent
        if text is not None and agent is not None:
            return server.authority.stated(view, text.decode("latin-1"), digest, agent.statements)
        return server.authority.identify(view, self.secret, server.now_ns())

    @property
    def digest(self) -> str:
        """The digest by which a statement names this request."""
        return request_digest(self.method, self.path, self.raw_query, self.body)

    def author(self) -> Author | None:
        """Return the caller as the author of records; None if they are not recorded, or not every server knows how."""
        server = self.server
        if not server.config.server.record_authors or server.version_known_by_all() < AUTHORS_SINCE:
            return None
        token = self.identity.token
        return Author(
            accessor_id=token.accessor_id if token is not None else "",
            name=(token.name if token is not None else "") or self.identity.name,
            address=self.address,
            time=server.now_ns(),
        )

    @property
    def client(self) -> str:
        """The client whose shares this request counts against; empty for the server itself."""
        return client_of(self.address)

    async def beside_loop(self, work: Callable[[], T]) -> T:
        """The result of long pure work, in the turn of the request's client; raises Refusal(429)."""
        return await self.server.background.run(work, self.client)

    def allow(self, namespace: str, *any_of: str) -> None:
        """Go on if one of the capabilities (those of the need by default) is there; raises Refusal(403)."""
        if not self.identity.rights.in_namespace(namespace, *(any_of or self.need.any_of)):
            raise denied()

    def sees(self, namespace: str) -> bool:
        """Whether this request selects `namespace` and may read it."""
        asked = self.namespace
        if asked != "*":
            return asked == namespace
        return self.identity.rights.in_namespace(namespace, *self.need.any_of)

    def flag(self, name: str, message: str = "") -> bool:
        """A boolean parameter; absent or empty is False. Raises Refusal(500)."""
        value = self.query.get(name, "")
        if not value:
            return False
        try:
            return parse_bool(value)
        except ValueError as error:
            prefix = message or f'Failed to parse value of "{name}" ({value}) as a bool: '
            raise Refusal(500, f"{prefix}{error}") from None

    def integer(self, name: str) -> int | None:
        """An integer parameter; absent or empty is None. Raises Refusal(500)."""
        value = self.query.get(name, "")
        if not value:
            return None
        try:
            return parse_int(value)
        except ValueError as error:
            raise Refusal(500, f'Failed to parse value of "{name}" ({value}) as a int: {error}') from None

    @property
    def is_stale(self) -> bool:
        """Whether any server may answer; raises Refusal(400)."""
        value = self.query.get("stale")
        if value is None:
            return False
        try:
            return value == "" or parse_bool(value)
        except ValueError:
            raise Refusal(400, "Expect `true` or `false` for `stale` query string parameter") from None


class ReadOptions:
    """The parameters that reads share (spec jobs-api §2.3), checked in the order of the wire protocol."""

    __slots__ = ("filter", "index", "next_token", "per_page", "prefix", "reverse", "wait_seconds")

    def __init__(self, context: Context) -> None:
        query = context.query
        self.prefix = query.get("prefix", "")
        self.per_page = 0
        if query.get("per_page"):
            try:
                self.per_page = parse_int(query["per_page"], low=-(2**31), high=2**31 - 1)
            except ValueError:
                raise Refusal(400, "Expect a number for `per_page` query string parameter") from None
        self.next_token = query.get("next_token", "")
        self.filter = query.get("filter", "")
        self.reverse = query.get("reverse") == "true"
        self.wait_seconds = WAIT_SECONDS_MAX
        if query.get("wait"):
            try:
                seconds = parse_duration(query["wait"]) / 1e9
            except ValueError:
                raise Refusal(400, "Invalid wait time") from None
            self.wait_seconds = min(seconds, WAIT_SECONDS_MAX) if seconds > 0 else WAIT_SECONDS_MAX
        self.index = 0
        if query.get("index"):
            try:
                self.index = parse_uint(query["index"])
            except ValueError:
                raise Refusal(400, "Invalid index") from None


PLAIN = ReadOptions.__new__(ReadOptions)
for _name, _value in (("prefix", ""), ("per_page", 0), ("next_token", ""), ("filter", ""), ("reverse", False)):
    setattr(PLAIN, _name, _value)
PLAIN.wait_seconds, PLAIN.index = WAIT_SECONDS_MAX, 0


def read_options(context: Context) -> ReadOptions:
    """The shared parameters; raises Refusal(400)."""
    if not context.query:
        return PLAIN
    _ = context.is_stale
    return ReadOptions(context)
