"""GET /v1/event/stream: what happens, a line of JSON at a time (spec cluster §13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from yurt.fsm.errors import Refusal
from yurt.fsm.events import Entry, Event, EventRing
from yurt.fsm.lang.strconv import parse_int
from yurt.server.http.context import JSON, Answer, Context

HEARTBEAT_SECONDS = 30.0
_NO_CACHE = (b"cache-control", b"no-cache")
_CLOSE = (b"connection", b"close")
Wanted = dict[str, set[str]]


async def stream(context: Context) -> Answer:
    """GET /v1/event/stream: from this server's own state, whether it leads or not."""
    try:
        index = parse_int(context.query.get("index") or "0")
    except ValueError as error:
        text = str(error).replace("strconv.ParseInt", "strconv.Atoi")
        raise Refusal(400, f"Unable to parse index: {text}") from None
    wanted = topics_of(context.raw_query)
    lines = _lines(context.server.events, wanted, context.namespace, index)
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


async def _lines(ring: EventRing, wanted: Wanted, namespace: str, index: int) -> AsyncIterator[bytes]:
    """A heartbeat at once, then the entries that hold something wanted, and heartbeats in between."""
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
            for following, entry in ready:
                number = following
                if line := _line(entry, wanted, namespace):
                    yield line
            if ready:
                continue
            try:
                await asyncio.wait_for(news.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield b"{}\n"
    finally:
        ring.leave(news.set)


def _line(entry: Entry, wanted: Wanted, namespace: str) -> bytes:
    bodies = [event.body for event in entry.events if _is_wanted(event, wanted, namespace)]
    if not bodies:
        return b""
    return b'{"Events":[%b],"Index":%d}\n' % (b",".join(bodies), entry.index)


def _is_wanted(event: Event, wanted: Wanted, namespace: str) -> bool:
    if event.namespace and namespace not in ("*", event.namespace):
        return False
    keys = wanted.get(event.topic, set()) | wanted.get("*", set())
    return "*" in keys or not keys.isdisjoint(event.keys)
