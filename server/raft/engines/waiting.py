"""The callbacks that wait for a library which may never call back: after a time limit each gets an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from yurt.server.raft.callbacks import tell
from yurt.server.raft.consensus import Callback
from yurt.server.raft.errors import NotLeader, OutcomeUnknown


class Writes:
    """Callbacks by number, each answered once."""

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._waiting: dict[int, tuple[Callback, asyncio.TimerHandle]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, callback: Callback) -> int:
        """A number to answer; `OutcomeUnknown` if nobody does in time."""
        self._number += 1
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._seconds_max, self.answer, self._number, None, OutcomeUnknown())
        self._waiting[self._number] = (callback, timer)
        return self._number

    def answer(self, number: int, result: Any, error: Exception | None) -> None:
        """Answer one that waits still."""
        if (waiting := self._waiting.pop(number, None)) is not None:
            callback, timer = waiting
            timer.cancel()
            tell(callback, result, error)

    def end(self) -> None:
        """Nobody will learn any more what became of them."""
        for number in list(self._waiting):
            self.answer(number, None, OutcomeUnknown())


class Reads:
    """Reads that share a question: one is on its way, everybody else collects for the next.

    `ask` puts the question and calls back with whether it was answered well; it may never do so.
    """

    def __init__(self, ask: Callable[[Callable[[bool], None]], None], seconds_max: float) -> None:
        self._ask, self._seconds_max = ask, seconds_max
        self._asked: list[Callback] = []
        self._collected: list[Callback] = []

    def __bool__(self) -> bool:
        return bool(self._asked)

    def wait(self, callback: Callback) -> None:
        """Wait for a question that is put from now on."""
        self._collected.append(callback)
        self._put()

    def _put(self) -> None:
        if self._asked or not self._collected:
            return
        asked, self._collected = self._collected, []
        self._asked = asked
        timer = asyncio.get_running_loop().call_later(self._seconds_max, self._done, asked, NotLeader())

        def answered(well: bool) -> None:
            timer.cancel()
            self._done(asked, None if well else NotLeader())

        self._ask(answered)

    def _done(self, asked: list[Callback], error: Exception | None) -> None:
        if self._asked is asked:
            self._asked = []
            for callback in asked:
                tell(callback, None, error)
            self._put()

    def end(self) -> None:
        """There is nobody to ask any more."""
        waiting, self._asked, self._collected = self._asked + self._collected, [], []
        for callback in waiting:
            tell(callback, None, NotLeader())
