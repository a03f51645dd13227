"""Events taken back from other servers: pages, bounds, servers that answer nothing, nonsense, or too late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.fsm.test_event_ring import entries, grown, keys_of
from yurt.fsm.events import Entry, Event, EventRing
from yurt.server.events import event_history
from yurt.server.events.event_file import BYTES_MAX, pack, unpack
from yurt.server.events.event_history import EventHistory
from yurt.server.platform.supervision import Supervisor
from yurt.server.raft.errors import NotSent, OutcomeUnknown

Handler = Callable[[bytes], Awaitable[bytes]]
Peer = EventRing | Handler | Exception


class Stub:
    """A server with a ring, and others that it can ask: rings, functions, or errors instead of an answer."""

    def __init__(self, ring: EventRing, index: int, **others: Peer) -> None:
        self.events, self.machine = ring, SimpleNamespace(index=index)
        self.engine, self.transport = self, self
        self.own = SimpleNamespace(id="own")
        self.handler: Handler | None = None
        self.asked: list[str] = []
        self.saved = 0
        self.supervisor = Supervisor()
        self.others = {name: self._handler(one) for name, one in others.items()}
        self.history = EventHistory(self)  # type: ignore[arg-type]

    @staticmethod
    def _handler(peer: Peer) -> Handler:
        async def answer(payload: bytes) -> bytes:
            if isinstance(peer, Exception):
                raise peer
            assert isinstance(peer, EventRing)
            return await Stub(peer, 1000).answer(payload)

        return answer if isinstance(peer, Exception | EventRing) else peer

    async def answer(self, payload: bytes) -> bytes:
        """What it tells another one."""
        self.history.start()
        assert self.handler is not None
        return await self.handler(payload)

    def serve(self, method: str, handler: Handler) -> None:
        assert method == "events"
        self.handler = handler

    def servers(self) -> list[dict[str, Any]]:
        return [{"id": name, "leader": name == "leader"} for name in ("own", *self.others)]

    async def leader_known(self, _seconds: float) -> None:
        """At once."""

    async def call(self, server_id: str, _method: str, payload: bytes, *, timeout: float) -> bytes:
        self.asked.append(server_id)
        return await asyncio.wait_for(self.others[server_id](payload), timeout)

    def save_events(self) -> None:
        self.saved += 1


def run(stub: Stub) -> EventRing:
    """What the ring holds when all is settled."""

    async def all_of_it() -> None:
        stub.history.start()
        assert await stub.history.settled()

    asyncio.run(all_of_it())
    return stub.events


def late(size: int = 1000) -> EventRing:
    return grown(size, 81, 90)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_history, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(event_history, "LOOK_SECONDS_MAX", 0.2)


@pytest.mark.parametrize("page", [1, 700, 1 << 20])
@pytest.mark.parametrize("size", [10, 11, 33, 1000])
def test_page_by_page_it_holds_what_the_other_holds(monkeypatch: pytest.MonkeyPatch, size: int, page: int) -> None:
    monkeypatch.setattr(event_history, "PAGE_BYTES", page)
    whole = grown(size, 2, 90)
    stub = Stub(late(size), 90, leader=whole)
    ring = run(stub)
    assert keys_of(ring.held()) == keys_of(whole.held()) and ring.gone == whole.gone
    assert [event.body for one in ring.held() for event in one.events] == [
        event.body for one in whole.held() for event in one.events
    ]
    assert stub.saved == (size > 10)
    assert len(stub.asked) > 5 or page > 1 or size < 33


def test_the_leader_is_asked_first_and_the_others_for_what_is_left() -> None:
    stub = Stub(late(), 90, a=grown(1000, 2, 90), leader=grown(1000, 41, 90))
    ring = run(stub)
    assert ring.gone == 0 and ring.is_whole and keys_of(ring.held()) == keys_of(entries(2, 90))
    assert stub.asked[0] == "leader" and stub.asked[-1] == "a"


def test_one_that_is_not_that_far_tells_nothing() -> None:
    other = Stub(grown(1000, 2, 70), 70)
    stub = Stub(late(), 90, leader=other.answer)
    assert run(stub).gone == 80 and len(stub.asked) > 1, "and is asked again"
    other.machine.index = 80  # the commands between told nothing
    assert run(Stub(late(), 90, leader=other.answer)).gone == 0


async def _answers(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize(
    "answer",
    [
        NotSent("unknown method events"),  # one of before
        OutcomeUnknown(),
        lambda _payload: _answers(b"\x93nonsense"),
        lambda _payload: _answers(msgspec.msgpack.encode([2, 80, 0, []])),
        lambda _payload: _answers(pack(entries(2, 90), 0, 90)),  # more than was asked for
        lambda _payload: _answers(pack(entries(2, 90), 0, 80)),
        lambda _payload: _answers(pack(entries(2, 80), 5, 80)),
        lambda _payload: _answers(pack(entries(2, 70), 0, 70)),
    ],
)
def test_what_cannot_be_used_changes_nothing(answer: Peer) -> None:
    stub = Stub(late(), 90, leader=answer)
    ring = run(stub)
    assert (ring.gone, keys_of(ring.held()), stub.saved) == (80, keys_of(entries(81, 90)), 0)
    stub = Stub(late(), 90, leader=answer, other=grown(1000, 2, 90))
    assert run(stub).gone == 0, "another one helps"


def test_without_others_nothing_is_waited_for() -> None:
    assert run(Stub(late(), 90)).gone == 80


def _heavy(count: int, size: int) -> list[Entry]:
    return [Entry.told(index, [Event.told("Job", "", "", [], bytes(size))]) for index in range(1, count + 1)]


def test_no_more_bytes_are_taken_than_a_file_may_have() -> None:
    whole = EventRing(1000)
    whole.begin_at(20)
    assert whole.refill(_heavy(20, 1 << 20), 0, 20)
    ring = EventRing(1000)
    ring.begin_at(20)
    run(Stub(ring, 20, leader=whole))
    assert [entry.index for entry in ring.held()] == list(range(5, 21)) and ring.gone == 4
    assert sum(len(event.body) for one in ring.held() for event in one.events) == BYTES_MAX
    unasked = pack(_heavy(20, 1 << 20), 0, 20, enough=1 << 30, most=1 << 30)
    ring.begin_at(20)
    assert run(Stub(ring, 20, leader=lambda _payload: _answers(unasked))).gone == 20, "nor if they come unasked"


@pytest.mark.parametrize(
    ("enough", "most", "taken", "gone"),
    [(1, 1000, [6], 5), (250, 1000, [5, 6], 4), (1000, 1000, [1, 2, 3, 4, 5, 6], 0), (1000, 99, [], 6)],
)
def test_whole_commands_are_packed_the_newest_first(enough: int, most: int, taken: list[int], gone: int) -> None:
    some = [one for entry in _heavy(6, 50) for one in (entry, entry)]  # two lines a command
    found, begin, told = unpack(pack(some, 0, 9, enough=enough, most=most))
    assert [one.index for one in found] == [index for index in taken for _ in range(2)]
    assert (begin, told) == (gone, 9)


def test_nothing_is_asked_for_after_a_restored_state_and_an_answer_comes_too_late() -> None:
    whole = grown(1000, 2, 80)

    async def slow(payload: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return await Stub._handler(whole)(payload)

    async def restored() -> None:
        stub = Stub(late(), 90, leader=slow)
        stub.history.start()
        await asyncio.sleep(0.02)
        assert stub.asked == ["leader"]
        stub.events.begin_at(91)
        stub.history.leave()
        assert await stub.history.settled()
        await asyncio.sleep(0.1)
        assert stub.events.gone == 91 and stub.events.held() == [] and stub.saved == 0

        again = Stub(late(), 90, leader=slow)
        again.history.start()
        await asyncio.sleep(0.02)
        again.events.begin_at(91)  # an install, whose look has not begun
        assert await again.history.settled()
        assert again.events.held() == []

    asyncio.run(restored())


def test_what_is_not_known_yet_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_history, "WAIT_SECONDS_MAX", 0.05)
    whole = grown(1000, 2, 90)

    async def slow(payload: bytes) -> bytes:
        await asyncio.sleep(0.2)
        return await Stub._handler(whole)(payload)

    async def scenario() -> None:
        stub = Stub(late(), 90, leader=slow)
        stub.history.start()
        assert not await stub.history.settled()
        await asyncio.sleep(0.5)
        assert await stub.history.settled() and stub.events.gone == 0
        stub.history.stop()
        assert not await stub.history.settled(), "a server that stops knows nothing"

    asyncio.run(scenario())


def test_a_question_that_is_none_is_refused() -> None:
    async def ask() -> None:
        for payload in (b"", b"\x92\x01", msgspec.msgpack.encode(["x", 1])):
            with pytest.raises(NotSent):
                await Stub._handler(late())(payload)

    asyncio.run(ask())
