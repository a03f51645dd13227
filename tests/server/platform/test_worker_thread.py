"""Work beside the loop: what it raises goes when nobody looks at it any more, not when the collector comes by."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from yurt.fsm.errors import Refusal
from yurt.server.platform.worker_thread import Background
from yurt.server.raft.errors import NotLeader
from yurt.server.server import Server


class Large:
    """Stands for a job of megabytes."""


def test_refused_work_leaves_nothing() -> None:
    background, kept = Background(), []

    def work() -> None:
        large = Large()
        kept.append(weakref.ref(large))
        raise Refusal(400, f"no {type(large).__name__}")

    async def ask() -> None:
        with pytest.raises(Refusal):
            await background.run(work)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(ask())
        assert len(kept) == 1 and kept[0]() is None, "it waits for the collector"
    finally:
        gc.enable()
        background.close()


def test_a_question_to_the_engine_that_fails_leaves_nothing() -> None:
    kept: list[weakref.ref[NotLeader]] = []

    async def ask() -> None:
        def refuse(done: object) -> None:
            error = NotLeader()
            kept.append(weakref.ref(error))
            asyncio.get_running_loop().call_soon(done, None, error)  # type: ignore[arg-type]

        with pytest.raises(NotLeader):
            await Server._engine(refuse)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(ask())
        assert kept[0]() is None
    finally:
        gc.enable()
