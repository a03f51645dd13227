"""GET /v1/event/stream: what happens, a line of JSON at a time (spec cluster §13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from yurt.fsm.errors import Refusal
from yurt.fsm.events import Entry, Event, EventRing
from yurt.fsm.lang.strconv import parse_int, parse_uint
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.context import JSON, Answer, Context

HEARTBEAT_SECONDS = 30.0
_NO_CACHE = (b"cache-control", b"no-cache")
_CLOSE = (b"connection", b"close")
Wanted = dict[str, set[str]]
_OF_NAMESPACES = {
    "Job": "read-job", "Evaluation": "read-job", "Allocation": "read-job", "Deployment": "read-job",
    "Service": "read-job", "HostVolume": "host-volume-read",
}  # fmt: skip
_OF_CLUSTER = {"Node": "node", "Operator": "operator"}


async def stream(context: Context) -> Answer:
    """GET /v1/event/stream: from this server's own state, whether it leads or not.

    `index=latest` begins with what comes next. `after=N` begins with what followed index N, exactly (docs/extras.md).
    """
    wanted = topics_of(context.raw_query)
    check_topics(context, wanted)
    ring = context.server.events
    after = _after(context)
    if after is not None:
        await _check_held(context, after)
        lines = _lines(context, wanted, ring.number_following(after), after)
    else:
        lines = _lines(context, wanted, _begin(context, ring), None)
    return Answer(200, b"", (JSON, _NO_CACHE, _CLOSE), stream=lines)


def _begin(context: Context, ring: EventRing) -> int:
    """The number of the first entry that `index` asks for; raises Refusal(400)."""
    value = context.query.get("index") or "0"
    if value == "latest":
        return ring.next_number
    try:
        return ring.number_at(parse_int(value))
    except ValueError as error:
        text = str(error).replace("strconv.ParseInt", "strconv.Atoi")
        raise Refusal(400, f"Unable to parse index: {text}") from None


def _after(context: Context) -> int | None:
    """The index of `after`, None without it; raises Refusal(400)."""
    value = context.query.get("after")
    if value is None:
        return None
    if "index" in context.query:
        raise Refusal(400, "index and after cannot be given together")
    try:
        return parse_uint(value)
    except ValueError as error:
        raise Refusal(400, f"Unable to parse after: {error}") from None


async def _check_held(context: Context, after: int) -> None:
    """Raises Refusal(410) if events after an index are gone, and Refusal(503) if that is not known yet."""
    ring: EventRing = context.server.events
    if after < ring.gone and not await context.server.event_history.settled() and after < ring.gone:
        raise Refusal(503, f"events after index {after} are being asked of others: try again")
    if after < ring.gone:
        text = f"events after index {after} are not all held here: ask for after={ring.gone} or a newer index, "
        raise Refusal(410, text + "and read the state anew for what you missed; nothing was sent")


def topics_of(raw_query: bytes) -> Wanted:
    """Topic → keys; `*` is every topic, or every key. Raises Refusal(400)."""
    wanted: Wanted = {}
    for name, value in parse_qsl(raw_query.decode("latin-1"), keep_blank_values=True, encoding="utf-8"):
        if name != "topic":
            continue
        topic, *rest = value.split(":")
        if len(rest) > 1:
            text = f"Invalid key value pair for topic, topic: {value}"
            raise Refusal(400, f"Invalid topic query: error parsing topics: {text}")
        wanted.setdefault(topic, set()).add(rest[0] if rest and rest[0] else "*")
    return wanted or {"*": {"*"}}


def check_topics(context: Context, wanted: Wanted) -> None:
    """Refuse topics that the token may not read; raises Refusal(403)."""
    rights = context.identity.rights
    for topic in wanted:
        if topic in _OF_NAMESPACES:
            allowed = rights.in_namespace(context.namespace, _OF_NAMESPACES[topic])
        elif topic in _OF_CLUSTER:
            allowed = rights.with_cluster(_OF_CLUSTER[topic], "read")
        else:
            allowed = rights.with_any_variable() if topic == "Variable" else rights.is_management
        if not allowed:
            raise denied()


def _may_go_on(context: Context, wanted: Wanted) -> bool:
    """Whether the token still is what it was when the stream began."""
    try:
        context.authorize(context.server.view())
        check_topics(context, wanted)
    except Refusal:
        return False
    return True


async def _lines(context: Context, wanted: Wanted, number: int, after: int | None) -> AsyncIterator[bytes]:
    """A heartbeat at once, then what is wanted of the entries from a number on, and heartbeats in between.

    With `after` there is one line an index, and the heartbeats say how far it was told. It ends when the token loses
    its right.
    """
    ring: EventRing = context.server.events
    yield b"{}\n" if after is None else b'{"OldestIndex":%d}\n' % (ring.gone + 1)
    news = asyncio.Event()
    ring.listen(news.set)
    try:
        while not ring.closed:
            news.clear()
            told = context.server.view().index
            try:
                ready = list(ring.after(number))
            except LookupError:
                return
            if not _may_go_on(context, wanted):
                return
            for following, entries in _lines_of(ready, after):
                number = following
                if line := _line(entries, wanted, context):
                    yield line
            if ready:
                number = ready[-1][0]
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await news.wait()
            except TimeoutError:
                yield b"{}\n" if after is None else b'{"Index":%d}\n' % max(told, after)
    finally:
        ring.leave(news.set)


def _lines_of(ready: list[tuple[int, Entry]], after: int | None) -> list[tuple[int, list[Entry]]]:
    """Group entries by line: one entry a line, or with `after` all entries of one index that is above it."""
    if after is None:
        return [(following, [entry]) for following, entry in ready]
    lines: list[tuple[int, list[Entry]]] = []
    for following, entry in ready:
        if entry.index <= after:
            continue
        if lines and lines[-1][1][0].index == entry.index:
            lines[-1] = (following, [*lines[-1][1], entry])
        else:
            lines.append((following, [entry]))
    return lines


def _line(entries: list[Entry], wanted: Wanted, context: Context) -> bytes:
    bodies = [event.body for entry in entries for event in entry.events if _is_wanted(event, wanted, context)]
    if not bodies:
        return b""
    return b'{"Events":[%b],"Index":%d}\n' % (b",".join(bodies), entries[0].index)


def _is_wanted(event: Event, wanted: Wanted, context: Context) -> bool:
    if event.namespace and not _sees(event, context):
        return False
    keys = wanted.get(event.topic, set()) | wanted.get("*", set())
    return "*" in keys or not keys.isdisjoint(event.keys)


def _sees(event: Event, context: Context) -> bool:
    rights = context.identity.rights
    if context.namespace not in ("*", event.namespace):
        return False
    if event.topic == "Variable":
        return rights.with_variable(event.namespace, event.key, "list")
    return rights.in_namespace(event.namespace, _OF_NAMESPACES.get(event.topic, ""))
