"""GET /v1/event/stream: what happens, a line of JSON at a time (spec cluster §13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from yurt.fsm.errors import Refusal
from yurt.fsm.events import Entry, Event, EventRing
from yurt.fsm.lang.strconv import parse_int
from yurt.server.acl.authority import denied
from yurt.server.http.context import JSON, Answer, Context

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
    """GET /v1/event/stream: from this server's own state, whether it leads or not."""
    try:
        index = parse_int(context.query.get("index") or "0")
    except ValueError as error:
        text = str(error).replace("strconv.ParseInt", "strconv.Atoi")
        raise Refusal(400, f"Unable to parse index: {text}") from None
    wanted = topics_of(context.raw_query)
    check_topics(context, wanted)
    lines = _lines(context, wanted, index)
    return Answer(200, b"", (JSON, _NO_CACHE, _CLOSE), stream=lines)


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


async def _lines(context: Context, wanted: Wanted, index: int) -> AsyncIterator[bytes]:
    """A heartbeat at once, then the entries that hold something wanted, and heartbeats in between.

    It ends when the token loses its right.
    """
    ring: EventRing = context.server.events
    yield b"{}\n"
    news = asyncio.Event()
    ring.listen(news.set)
    try:
        number = ring.number_at(index)
        while not ring.closed:
            news.clear()
            try:
                ready = list(ring.after(number))
            except LookupError:
                return
            if not _may_go_on(context, wanted):
                return
            for following, entry in ready:
                number = following
                if line := _line(entry, wanted, context):
                    yield line
            if ready:
                continue
            try:
                await asyncio.wait_for(news.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield b"{}\n"
    finally:
        ring.leave(news.set)


def _line(entry: Entry, wanted: Wanted, context: Context) -> bytes:
    bodies = [event.body for event in entry.events if _is_wanted(event, wanted, context)]
    if not bodies:
        return b""
    return b'{"Events":[%b],"Index":%d}\n' % (b",".join(bodies), entry.index)


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
