from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from tests.fsm.store.model import new_store
from yurt.fsm.errors import Refusal
from yurt.fsm.store.schema import JOBS
from yurt.fsm.store.store import Store
from yurt.fsm.structs.job import Job
from yurt.server.http.query.waiting import GROUPS_A_ROUND, WOKEN_A_ROUND, Waiting

KEY = ("default", "a")


def commit(store: Store, name: str = "a") -> None:
    transaction = store.begin(store.index + 1)
    transaction.put(JOBS, Job(id=name, namespace="default"))
    store.commit(transaction)


def waiting(**given: int) -> Waiting:
    return Waiting(given.get("total", 100_000), given.get("client", 0), lambda: 0.0)


async def begun(waits: Waiting, store: Store, count: int, key: str = "q") -> list[asyncio.Task[None]]:
    deadline = waits.deadline(60)
    tasks = [asyncio.ensure_future(waits.wait(store.watches, ((JOBS, KEY),), key, deadline)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_ten_thousand_readers_are_let_go_a_few_in_each_round() -> None:
    async def main() -> None:
        store, waits = new_store(), waiting()
        tasks = await begun(waits, store, 10_000)
        assert len(store.watches) == 1
        commit(store)
        answered_first = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answered_first.set_result, None)
        assert not any(task.done() for task in tasks), "a commit itself lets nobody go"
        await answered_first
        done = sum(task.done() for task in tasks)
        assert done <= 2 * WOKEN_A_ROUND
        while done < len(tasks):
            await asyncio.sleep(0)
            now = sum(task.done() for task in tasks)
            assert now - done <= WOKEN_A_ROUND
            done = now
        assert len(store.watches) == 0

    asyncio.run(main())


def test_of_different_queries_fewer_go_in_each_round() -> None:
    """Each of them looks at rows for as long as a slice."""

    async def main() -> None:
        store, waits = new_store(), waiting()
        tasks = [task for number in range(200) for task in await begun(waits, store, 1, f"q{number}")]
        commit(store)
        done = 0
        while done < len(tasks):
            await asyncio.sleep(0)
            now = sum(task.done() for task in tasks)
            assert now - done <= GROUPS_A_ROUND
            done = now

    asyncio.run(main())


def test_queries_that_were_given_up_after_they_were_woken_take_their_turns_too() -> None:
    async def main() -> None:
        store, waits = new_store(), waiting()
        tasks = [task for number in range(200) for task in await begun(waits, store, 1, f"q{number}")]
        commit(store)
        for task in tasks:
            task.cancel()
        left = len(store.watches)
        while left:
            await asyncio.sleep(0)
            now = len(store.watches)
            assert left - now <= GROUPS_A_ROUND
            left = now

    asyncio.run(main())


def test_nothing_is_kept_of_those_who_were_woken() -> None:
    async def main() -> None:
        store, waits = new_store(), waiting()
        held: list[int] = []
        tracemalloc.start()
        try:
            for _ in range(4):
                tasks = await begun(waits, store, 10_000)
                commit(store)
                await asyncio.gather(*tasks)
                del tasks
                await asyncio.sleep(0)
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert held[-1] - held[1] < 100_000, "the last of thousands leaves no more than the first"

    asyncio.run(main())


def test_whoever_comes_after_a_commit_waits_for_the_next_one() -> None:
    async def main() -> None:
        store, waits = new_store(), waiting()
        early = await begun(waits, store, 1)
        commit(store)
        late = await begun(waits, store, 1)
        await asyncio.gather(*early)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not late[0].done()
        commit(store, "other")
        commit(store)
        await asyncio.gather(*late)

    asyncio.run(main())


def test_the_last_one_to_leave_ends_the_watch() -> None:
    async def main() -> None:
        store, waits = new_store(), waiting()
        tasks = await begun(waits, store, 2)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        assert len(store.watches) == 1
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        assert len(store.watches) == 0
        commit(store)

    asyncio.run(main())


def test_all_go_when_waiting_ends() -> None:
    async def main() -> None:
        store, waits = new_store(), waiting()
        tasks = [*await begun(waits, store, 40, "a"), *await begun(waits, store, 40, "b")]
        waits.end()
        await asyncio.gather(*tasks)
        assert waits.has_ended

    asyncio.run(main())


def test_waiting_queries_are_bounded_in_all_and_by_client() -> None:
    waits = waiting(total=3, client=2)
    waits.begin("a")
    waits.begin("a")
    with pytest.raises(Refusal, match="of your address"):
        waits.begin("a")
    waits.begin("b")
    with pytest.raises(Refusal, match="too many blocking queries are"):
        waits.begin("c")
    for client in "aab":
        waits.leave(client)
    assert waits.count == 0
    waits.begin("a")
