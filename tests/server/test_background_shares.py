"""Long work beside the loop: clients take turns, and one of them does not fill the queue."""

from __future__ import annotations

import asyncio
import threading

import pytest

from yurt.fsm.errors import Refusal
from yurt.server.platform.worker_thread import Background


def test_clients_take_turns() -> None:
    async def main() -> list[str]:
        background, gate = Background(pieces_max=16), threading.Event()
        ended: list[str] = []

        def note(name: str) -> None:
            gate.wait()
            ended.append(name)

        flood = [asyncio.ensure_future(background.run(lambda: note("a"), "a")) for _ in range(6)]
        await asyncio.sleep(0)
        other = asyncio.ensure_future(background.run(lambda: note("b"), "b"))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*flood, other)
        background.close()
        return ended

    assert asyncio.run(main()).index("b") <= 2, "not behind all that another client has asked for"


def test_one_client_leaves_room_for_another() -> None:
    async def main() -> None:
        background, gate = Background(pieces_max=4), threading.Event()
        held = [asyncio.ensure_future(background.run(gate.wait, "a")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await background.run(gate.wait, "a")
        assert refused.value.status == 429 and "your address" in refused.value.text
        held += [asyncio.ensure_future(background.run(gate.wait, "b")) for _ in range(2)]
        await asyncio.sleep(0)
        held.append(asyncio.ensure_future(background.run(gate.wait, "c")))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await background.run(gate.wait, "c")
        assert refused.value.status == 429 and "your address" not in refused.value.text
        gate.set()
        await asyncio.gather(*held)
        assert await background.run(lambda: 7, "a") == 7, "there is room again"
        background.close()

    asyncio.run(main())


def test_the_servers_own_work_is_never_refused() -> None:
    async def main() -> None:
        background, gate = Background(pieces_max=4), threading.Event()
        held = [asyncio.ensure_future(background.run(gate.wait, client)) for client in "aabb"]
        await asyncio.sleep(0)
        held += [asyncio.ensure_future(background.run(gate.wait)) for _ in range(9)]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*held) == [True] * 13
        background.close()

    asyncio.run(main())


def test_work_that_nobody_waits_for_any_more_counts_until_it_ends() -> None:
    async def main() -> None:
        background, begun, gate = Background(pieces_max=2), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            gate.wait()

        running = asyncio.ensure_future(background.run(work, "a"))
        while not begun.is_set():
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(Refusal):
            await background.run(gate.wait, "a")
        gate.set()
        assert await background.run(lambda: 7, "b") == 7
        assert await background.run(lambda: 8, "a") == 8, "it has ended"
        background.close()

    asyncio.run(main())


def test_work_that_is_given_up_before_it_begins_counts_no_more() -> None:
    async def main() -> None:
        background, gate = Background(pieces_max=4), threading.Event()
        running = asyncio.ensure_future(background.run(gate.wait, "a"))
        waiting = asyncio.ensure_future(background.run(gate.wait, "b"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.set()
        await running
        assert await asyncio.gather(*(background.run(lambda: 7, "b") for _ in range(2))) == [7, 7]
        background.close()

    asyncio.run(main())
