"""Whoever waits for a library is answered once: by it, in time, or at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from yurt.server.raft.engines.waiting import Reads, Writes
from yurt.server.raft.errors import NotLeader, OutcomeUnknown

Told = list[tuple[Any, Exception | None]]


def collector(told: Told) -> Callable[[Any, Exception | None], None]:
    return lambda result, error: told.append((result, error))


def test_a_write_is_answered_once() -> None:
    async def life() -> None:
        writes, told = Writes(60.0), list[tuple[Any, Exception | None]]()
        number = writes.wait(collector(told))
        assert len(writes) == 1
        writes.answer(number, 7, None)
        writes.answer(number, 8, None)
        writes.end()
        assert told == [(7, None)] and not writes

    asyncio.run(life())


def test_a_write_that_the_library_forgets_has_an_unknown_outcome() -> None:
    async def life() -> None:
        writes = Writes(0.0)
        future = asyncio.get_running_loop().create_future()
        writes.wait(lambda _result, error: future.set_result(error))
        assert isinstance(await future, OutcomeUnknown)

    asyncio.run(life())


def test_at_the_end_nobody_waits_and_one_that_breaks_disturbs_nobody() -> None:
    async def life() -> None:
        writes, told = Writes(60.0), list[tuple[Any, Exception | None]]()

        def broken(_result: Any, _error: Exception | None) -> None:
            raise RuntimeError("broken")

        writes.wait(broken)
        writes.wait(collector(told))
        writes.end()
        assert len(told) == 1 and isinstance(told[0][1], OutcomeUnknown)

    asyncio.run(life())


def test_reads_share_a_question_and_a_later_one_waits_for_the_next() -> None:
    async def life() -> None:
        asked: list[Callable[[bool], None]] = []
        reads, told = Reads(asked.append, 60.0), list[tuple[Any, Exception | None]]()
        for _ in range(3):
            reads.wait(collector(told))
        assert len(asked) == 1 and reads
        asked[0](True)
        assert told == [(None, None)] and len(asked) == 2, "the two that came later share the next question"
        asked[1](False)
        assert len(told) == 3 and all(isinstance(error, NotLeader) for _, error in told[1:])
        assert not reads

    asyncio.run(life())


def test_an_answer_that_comes_too_late_answers_nobody_else() -> None:
    async def life() -> None:
        asked: list[Callable[[bool], None]] = []
        reads, told = Reads(asked.append, 60.0), list[tuple[Any, Exception | None]]()
        reads.wait(collector(told))
        reads.end()
        reads.wait(collector(told))
        asked[0](True)
        assert len(told) == 1 and isinstance(told[0][1], NotLeader), "the second waits for its own question"
        asked[1](True)
        assert told[1] == (None, None)

    asyncio.run(life())
