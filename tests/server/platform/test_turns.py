from __future__ import annotations

import asyncio
from collections.abc import Generator

from yurt.server.platform.turns import SLICE_SECONDS, STEPS_A_LOOK, STEPS_AT_ONCE, Turns


class Clock:
    """Moves on by a fixed time whenever a step says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def counting(clock: Clock, steps: int, step_seconds: float, seen: list[str], name: str) -> Generator[None, None, str]:
    for _ in range(steps):
        clock.now += step_seconds
        seen.append(name)
        yield
    return name


def test_a_pass_gives_way_after_each_slice_and_returns_its_result() -> None:
    clock = Clock()
    seen: list[str] = []

    async def main() -> str:
        turns = Turns(clock)

        async def others() -> None:
            while True:
                seen.append("|")
                await asyncio.sleep(0)

        task = asyncio.ensure_future(others())
        try:
            return await turns.run(counting(clock, 100, SLICE_SECONDS / 20, seen, "a"))
        finally:
            task.cancel()

    assert asyncio.run(main()) == "a"
    slices = [len(part) for part in "".join(seen).split("|") if part]
    assert sum(slices) == 100
    assert max(slices) <= 20 + STEPS_A_LOOK
    assert len(slices) >= 4


def test_one_slice_runs_in_a_round_however_many_passes_wait() -> None:
    clock = Clock()
    seen: list[str] = []

    async def main() -> list[str]:
        turns = Turns(clock)
        rounds = asyncio.ensure_future(mark())
        try:
            passes = [turns.run(counting(clock, 40, SLICE_SECONDS, seen, name)) for name in "abc"]
            for one in passes:  # begun in turn, as requests come in
                seen.append("|")
                tasks.append(asyncio.ensure_future(one))
                await asyncio.sleep(0)
            return await asyncio.gather(*tasks)
        finally:
            rounds.cancel()

    async def mark() -> None:
        while True:
            seen.append("|")
            await asyncio.sleep(0)

    tasks: list[asyncio.Task[str]] = []
    assert asyncio.run(main()) == ["a", "b", "c"]
    rounds = [part for part in "".join(seen).split("|") if part]
    assert all(len(set(part)) == 1 for part in rounds[3:]), "two passes shared a round"
    order = [part[0] for part in rounds[3:9]]
    assert sorted(order[:3]) == ["a", "b", "c"]
    assert order[3:] == order[:3], "first come, first served"


def test_a_cancelled_pass_leaves_its_turn_to_the_next() -> None:
    clock = Clock()

    async def main() -> str:
        turns = Turns(clock)
        gone = asyncio.ensure_future(turns.run(counting(clock, 1000, SLICE_SECONDS, [], "gone")))
        stays = asyncio.ensure_future(turns.run(counting(clock, 1000, SLICE_SECONDS, [], "stays")))
        await asyncio.sleep(0)
        gone.cancel()
        async with asyncio.timeout(5):
            return await stays

    assert asyncio.run(main()) == "stays"


def test_a_short_pass_needs_no_turn() -> None:
    turns = Turns(Clock())
    assert turns.begin(counting(Clock(), STEPS_AT_ONCE - 1, 0.0, [], "page")) == ("page",)
    assert turns.begin(counting(Clock(), STEPS_AT_ONCE + 1, 0.0, [], "list")) is None


def beside_readers(client: str, slices: int) -> tuple[int, int]:
    """The slices that 100 passes of client "a" had, and those of another client's pass, when that one had ended."""
    clock = Clock()
    seen: list[str] = []

    async def main() -> tuple[int, int]:
        turns = Turns(clock)
        readers = [
            asyncio.ensure_future(turns.run(counting(clock, 10_000, SLICE_SECONDS, seen, "r"), "a")) for _ in range(100)
        ]
        await asyncio.sleep(0)
        seen.clear()
        await turns.run(counting(clock, slices * STEPS_A_LOOK, SLICE_SECONDS, seen, "o"), client)
        for one in readers:
            one.cancel()
        return seen.count("r") // STEPS_A_LOOK, seen.count("o") // STEPS_A_LOOK

    return asyncio.run(main())


def test_the_servers_own_work_has_every_second_turn() -> None:
    others, own = beside_readers("", 20)
    assert own == 20 and others <= own + 2


def test_a_client_with_many_passes_has_as_many_turns_as_another_with_one() -> None:
    others, own = beside_readers("b", 20)
    assert own == 20 and others <= own + 2


def test_own_work_leaves_every_second_turn_to_the_clients() -> None:
    clock = Clock()
    seen: list[str] = []

    async def main() -> None:
        turns = Turns(clock)
        given = (("", "o"), ("", "o"), ("a", "a"), ("b", "b"))
        steps = 8 * STEPS_A_LOOK
        await asyncio.gather(
            *(turns.run(counting(clock, steps, SLICE_SECONDS, seen, name), one) for one, name in given)
        )

    asyncio.run(main())
    order = "".join(seen[::STEPS_A_LOOK])
    assert order.startswith("oaoboaob" * 2)
