"""`python -m tests.bench.heartbeats`: what a busy loop does to a heartbeat, from sending it to reading its answer.

Two peers share one loop, whose turns are filled with callbacks that work; so each way waits for what is ready. A turn
is as long as everything that is ready in it: a heartbeat waits for about two of them, and no longer.
"""

from __future__ import annotations

import asyncio
import time

import uvloop

from tests.server.raft.test_consensus_first import connected_pair
from yurt.server.raft.core import messages

SECONDS = 2.0
LOADS = ((0, 0.0), (1, 0.002), (1, 0.005), (20, 0.0003), (100, 0.0003), (1, 0.1))  # callbacks a turn, seconds each


async def measure(ready: int, seconds: float) -> list[float]:
    """Seconds that heartbeats took while every turn had that much to do."""
    loop, took = asyncio.get_running_loop(), []
    is_ended = False

    def work() -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    def turn() -> None:
        if not is_ended:
            for _ in range(ready):
                loop.call_soon(work)
            loop.call_soon(turn)

    async with connected_pair() as (leader, follower):
        answer = messages.encode(messages.HeartbeatAnswer(b"", 1, 1))
        follower.on_raft = lambda server, _data: follower.send_raft(server, answer)
        turn()
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            answered: asyncio.Future[float] = loop.create_future()
            leader.on_raft = lambda _server, _data, answered=answered: answered.set_result(time.perf_counter())  # type: ignore[misc]
            began = time.perf_counter()
            leader.send_raft("b", messages.encode(messages.Heartbeat(b"", 1, 1)))
            took.append(await answered - began)
        is_ended = True
    return sorted(took)


def main() -> None:
    """Print a table."""
    print("callbacks a turn x ms each | turn ms | heartbeats | p50 ms | p99 ms | max ms")
    for ready, seconds in LOADS:
        took = uvloop.run(measure(ready, seconds))
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        print(
            f"{ready:4} x {seconds * 1e3:5.1f} | {ready * seconds * 1e3:6.1f} | {len(took):6} | "
            f"{p50 * 1e3:7.2f} | {p99 * 1e3:7.2f} | {took[-1] * 1e3:7.2f}"
        )


if __name__ == "__main__":
    main()
