"""A new leader takes in what waits in slices, with a clock that is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import EVALUATIONS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import COMPLETE, PENDING, Evaluation
from yurt.scheduler.duties.gc import Thresholds, collecting
from yurt.server.evaluation_ends import open_evaluations
from yurt.server.turns import SLICE_SECONDS, Turns

STEP_SECONDS = 0.0001
WAITING = 2000


class Clock:
    """Every look at a step costs a tenth of a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def costing(self, steps: Iterator[object]) -> Iterator[None]:
        for _ in steps:
            self.now += STEP_SECONDS
            yield


class Leading:
    """As much of a server as the passes of its duties need."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.view = self.machine.view

    def put(self, *rows: Evaluation) -> None:
        transaction = self.machine.store.begin(self.machine.index + 1)
        for row in rows:
            transaction.put(EVALUATIONS, row)
        self.machine.store.commit(transaction)


def evaluations(status: str) -> list[Evaluation]:
    return [Evaluation(id=f"e{number:05d}", job_id=f"j{number}", status=status) for number in range(WAITING)]


def longest_hold(clock: Clock, steps: Iterator[object]) -> float:
    """The longest time between two rounds in which something else of the loop ran while a pass went on."""

    async def run() -> float:
        seen = [0.0]

        def other() -> None:
            seen.append(clock.now)
            loop.call_soon(other)

        def passed() -> Iterator[None]:
            yield from clock.costing(steps)

        loop = asyncio.get_running_loop()
        loop.call_soon(other)
        await Turns(clock).run(passed())  # type: ignore[arg-type]
        return max(after - before for before, after in pairwise(seen))

    return asyncio.run(run())


def test_evaluations_that_wait_are_taken_in_while_the_loop_goes_on() -> None:
    server = Leading()
    server.put(*evaluations(PENDING))
    assert longest_hold(Clock(), open_evaluations(server, PENDING)) <= SLICE_SECONDS + 8 * STEP_SECONDS  # type: ignore[arg-type]


def test_an_evaluation_that_ended_meanwhile_is_not_taken_in_and_a_changed_one_as_it_is_now() -> None:
    server = Leading()
    rows = evaluations(PENDING)
    server.put(*rows)
    pending = open_evaluations(server, PENDING)  # type: ignore[arg-type]
    next(pending)
    ended, changed = rows[-1], rows[-2]
    server.put(replace(ended, status=COMPLETE), replace(changed, priority=90))
    found = [one for one in pending if one is not None]
    assert ended.id not in {one.id for one in found}
    assert next(one for one in found if one.id == changed.id).priority == 90


def test_a_collection_holds_the_loop_for_a_slice_at_most() -> None:
    server = Leading()
    server.put(*evaluations(COMPLETE))
    steps = collecting(server.view(), 10**18, Thresholds(), server.view)
    assert longest_hold(Clock(), steps) <= SLICE_SECONDS + 8 * STEP_SECONDS
