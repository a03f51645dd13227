from __future__ import annotations

import asyncio

import pytest

from yurt.server.http.budget import Budget


def test_a_client_has_its_share_and_others_go_on() -> None:
    budget = Budget(total=10, share=4)
    assert budget.take_now(4, "a")
    assert not budget.take_now(1, "a")
    assert budget.take_now(4, "b")
    assert not budget.take_now(4, "c"), "the total is bounded"
    budget.give(4, "b")
    assert budget.take_now(4, "c")


def test_a_large_amount_is_granted_to_a_client_that_has_nothing_else() -> None:
    budget = Budget(total=10, share=4)
    assert budget.take_now(8, "a")
    assert not budget.take_now(1, "a")


def test_clients_take_turns_in_waiting() -> None:
    granted: list[str] = []

    async def main() -> None:
        budget = Budget(total=1, share=1)
        await budget.take(1, "first")

        async def ask(client: str) -> None:
            await budget.take(1, client)
            granted.append(client)
            await asyncio.sleep(0)
            budget.give(1, client)

        tasks = [asyncio.ensure_future(ask(client)) for client in "aaaab"]
        await asyncio.sleep(0)
        assert budget.waiting == 5
        budget.give(1, "first")
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks)
        assert budget.take_now(1, "last"), "everything was given back"

    asyncio.run(main())
    assert granted == ["a", "b", "a", "a", "a"]


def test_whoever_stops_waiting_takes_nothing() -> None:
    async def main() -> None:
        budget = Budget(total=1, share=1)
        await budget.take(1, "a")
        gone = asyncio.ensure_future(budget.take(1, "b"))
        granted = asyncio.ensure_future(budget.take(1, "c"))
        await asyncio.sleep(0)
        gone.cancel()
        budget.give(1, "a")
        granted.cancel()  # in the very round in which it was granted
        with pytest.raises(asyncio.CancelledError):
            await granted
        assert budget.take_now(1, "d")

    asyncio.run(main())
