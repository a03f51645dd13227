"""Room that is shared: shares of clients, turns in waiting, amounts of any size."""

from __future__ import annotations

import asyncio

import pytest

from yurt.server.http.asgi.budget import Budget


def test_a_client_has_its_share_and_others_go_on() -> None:
    budget = Budget(total=10, share=4)
    assert budget.take_now(4, "a")
    assert not budget.take_now(1, "a")
    assert budget.take_now(4, "b")
    assert not budget.take_now(4, "c"), "the total is bounded"
    budget.give(4, "b")
    assert budget.take_now(4, "c")


def test_an_amount_above_a_share_is_granted_to_a_client_that_has_nothing_else() -> None:
    budget = Budget(total=10, share=4)
    assert budget.take_now(8, "a")
    assert not budget.take_now(1, "a")
    assert budget.take_now(4, "b"), "it counts as a share: others have theirs"
    budget.give(8, "a")
    budget.give(4, "b")
    assert budget.taken == 0


async def settle() -> None:
    """Let everybody who was woken go on."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("amount", [5, 10, 11, 1000])
def test_no_amount_stands_in_the_way_for_good(amount: int) -> None:
    """Whoever asks for more than there is has its turn, and those behind it too."""

    async def main() -> None:
        budget = Budget(total=10, share=4)
        await budget.take(1, "a")
        large = asyncio.ensure_future(budget.take(amount, "a"))
        behind = asyncio.ensure_future(budget.take(1, "a"))
        await settle()
        assert not large.done() and not behind.done()
        budget.give(1, "a")
        await settle()
        assert large.done() and not behind.done()
        budget.give(amount, "a")
        await settle()
        assert behind.done()
        budget.give(1, "a")
        assert budget.taken == 0 and budget.waiting == 0

    asyncio.run(main())


def test_small_amounts_do_not_overtake_a_large_one_for_ever() -> None:
    """What is given back gathers for whoever waits longest."""

    async def main() -> None:
        budget = Budget(total=4, share=4)
        for client in "abcd":
            await budget.take(1, client)
        large = asyncio.ensure_future(budget.take(3, "large"))
        await settle()
        later = [asyncio.ensure_future(budget.take(1, client)) for client in "efgh"]
        for client in "abc":
            assert not large.done()
            budget.give(1, client)
            assert not budget.take_now(1, "new")
            await settle()
        assert large.done() and not any(one.done() for one in later)
        budget.give(3, "large")
        await settle()
        assert sum(one.done() for one in later) == 3, "then the others, in order"
        budget.give(1, "d")
        await asyncio.gather(*later)

    asyncio.run(main())


def test_whoever_gives_up_a_large_amount_lets_the_others_go_on() -> None:
    async def main() -> None:
        budget = Budget(total=4, share=4)
        await budget.take(2, "a")
        large = asyncio.ensure_future(budget.take(4, "large"))
        await settle()
        small = asyncio.ensure_future(budget.take(1, "b"))
        await settle()
        assert not small.done()
        large.cancel()
        async with asyncio.timeout(5):
            await small
        assert budget.take_now(1, "c")

    asyncio.run(main())


def test_one_client_that_waits_for_its_own_share_holds_back_nobody_else() -> None:
    async def main() -> None:
        budget = Budget(total=10, share=4)
        await budget.take(4, "a")
        waiting = [asyncio.ensure_future(budget.take(4, "a")) for _ in range(20)]
        await settle()
        async with asyncio.timeout(5):
            for _ in range(20):
                await budget.take(4, "b")
                budget.give(4, "b")
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert budget.waiting == 0

    asyncio.run(main())


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


def test_what_is_in_use_already_counts_beyond_share_and_total() -> None:
    budget = Budget(total=10, share=4)
    for client in "ab":
        assert budget.take_now(1, client)
        budget.grow(20, client)
    assert budget.taken == 10 and not budget.take_now(1, "a")
    budget.grow(1, "b")
    assert budget.taken == 11 and not budget.take_now(1, "c")
    budget.give(20, "a")
    assert budget.take_now(3, "a") and not budget.take_now(1, "c")
    budget.give(1, "b")
    assert budget.take_now(1, "c")


def test_room_that_becomes_free_at_once_serves_all_that_it_has_room_for() -> None:
    async def main() -> None:
        budget = Budget(total=10, share=6)
        await budget.take(6, "a")
        await budget.take(4, "b")
        waiting = [asyncio.ensure_future(budget.take(1, client)) for client in "cccdd"]
        await settle()
        budget.give(6, "a")
        await settle()
        assert all(one.done() for one in waiting)
        assert budget.taken == 9 and budget.waiting == 0

    asyncio.run(main())
