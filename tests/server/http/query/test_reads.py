"""Queries that run as passes: nothing is missed, no room is lost, and who waits for room hears of it in time."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.http.bare_server import bare_server, write
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import JOBS
from yurt.fsm.store.view import View
from yurt.server.http.asgi.context import Answer, Context, ReadOptions
from yurt.server.http.query import passes
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing
from yurt.server.http.query.passes import KEPT_BYTES_MAX_PER_CLIENT, PASSES_MAX_PER_CLIENT
from yurt.server.http.query.reads import Query, Reads
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.platform.turns import STEPS_AT_ONCE, Steps
from yurt.server.server import Server

STEPS = 4 * STEPS_AT_ONCE


@pytest.fixture
def server() -> Server:
    return bare_server()


def asked(server: Server, query: str = "", address: str = "") -> Context:
    return Context(server, "GET", "/v1/jobs", query.encode(), {}, b"", address=address)


def reads() -> Reads:
    return Reads(waiters_max=9, jitter=lambda: 0.0)


async def rounds(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def jobs_by_steps(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """How many jobs there are, in a pass of many rounds."""
    for _ in range(STEPS):
        yield
    return Found(b"%d" % view.count(JOBS), view.table_index(JOBS), ((JOBS, None),))


@pytest.mark.parametrize("asks", [1, 3], ids=["alone", "shared"])
def test_a_change_during_the_pass_of_a_blocking_query_is_not_missed(server: Server, asks: int) -> None:
    async def main() -> None:
        found = reads()
        context = asked(server, f"index={server.machine.index}&wait=60s")
        tasks = [asyncio.ensure_future(found.answer(context, jobs_by_steps)) for _ in range(asks)]
        await rounds(5)
        write(server, "second")
        async with asyncio.timeout(10):
            assert {answer.body for answer in await asyncio.gather(*tasks)} == {b"2"}

    asyncio.run(main())


def test_a_change_of_something_else_during_the_pass_costs_no_second_one(server: Server) -> None:
    passes: list[int] = []

    def query(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
        passes.append(view.index)
        return (yield from jobs_by_steps(view, context, options))

    async def main() -> None:
        found = reads()
        task = asyncio.ensure_future(found.answer(asked(server, f"index={server.machine.index}&wait=60s"), query))
        await rounds(5)
        server.machine.store.skip(server.machine.index + 1)
        while not len(server.machine.store.watches):
            await asyncio.sleep(0)
        assert not task.done() and len(passes) == 1
        write(server, "second")
        async with asyncio.timeout(10):
            assert (await task).body == b"2"

    asyncio.run(main())


def list_of(text: str, rows: int = 3000) -> Query:
    """A query whose list takes many rounds to find and is sent in chunks."""

    def query(view: View, context: Context, options: ReadOptions) -> Listing:
        return Listing(range(rows), lambda row: b'"%d%s"' % (row, text.encode() * 100), 1, ())

    return query


async def answered(found: Reads, server: Server, query: Query, address: str = "10.0.0.1") -> Answer:
    async with asyncio.timeout(10):
        return await found.answer(asked(server, address=address), query)


def test_lists_that_are_sent_slowly_hold_up_no_other_pass(server: Server) -> None:
    async def main() -> None:
        found = reads()
        unread = [await answered(found, server, list_of(str(number))) for number in range(PASSES_MAX_PER_CLIENT + 1)]
        assert all(answer.rows is not None for answer in unread)

    asyncio.run(main())


def test_what_unread_lists_keep_is_bounded_and_who_waits_for_it_is_told_in_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        found = reads()
        unread = [await answered(found, server, list_of("000"))]
        kept = unread[0].rows.kept_bytes if unread[0].rows else 0
        assert 3000 * 8 < kept < 5 << 20
        while len(unread) * kept < KEPT_BYTES_MAX_PER_CLIENT:
            unread.append(await answered(found, server, list_of(f"{len(unread):03d}")))
        waiting = asyncio.ensure_future(found.answer(asked(server, address="10.0.0.1"), list_of("c")))
        await answered(found, server, list_of("d"), "10.0.0.2")
        assert not waiting.done()
        unread.pop()
        async with asyncio.timeout(10):
            unread.append(await waiting)
        monkeypatch.setattr(passes, "ROOM_SECONDS", 0.001)
        context = asked(server, address="10.0.0.1")
        with pytest.raises(Refusal, match="retry later") as refused:
            await found.answer(context, list_of("e"))
        assert refused.value.status == 429
        unread.clear()
        del waiting
        await answered(found, server, list_of("f"))

    asyncio.run(main())


def test_a_pass_that_is_given_up_before_its_first_step_gives_its_room_back(server: Server) -> None:
    async def main() -> None:
        found = reads()
        for number in range(PASSES_MAX_PER_CLIENT + 1):
            asking = asyncio.ensure_future(answered(found, server, list_of(str(number))))
            await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await rounds(5)
        await answered(found, server, list_of("last"))

    asyncio.run(main())


def test_who_is_one_too_many_hears_when_to_come_again(server: Server) -> None:
    async def main() -> Answer:
        full = Dispatcher(server, Reads(waiters_max=0, jitter=lambda: 0.0))
        return await full.answer(asked(server, f"stale&index={server.machine.index}"))

    answer = asyncio.run(main())
    assert answer.status == 429 and (b"retry-after", b"1") in answer.headers
