"""Long pure work beside the event loop (design: HTTP, fast and bounded).

One thread takes one piece after the other. The short switch interval (docs/decisions/0004) gives the loop the
interpreter back within half a millisecond, so a piece of seconds does not hold up other requests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from yurt.fsm.errors import Refusal
from yurt.server.http.asgi.budget import Budget

T = TypeVar("T")
PIECES_MAX = 32
LARGE_BODY_BYTES = 64 * 1024  # admitted within some 4 ms


class Background:
    """Pieces of work that wait for the thread; clients take turns.

    One client has half of `pieces_max` at most. When so many are there, only who has none may bring one more. What the
    server does for itself is the client "" and is never refused.
    """

    def __init__(self, pieces_max: int = PIECES_MAX) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
        self._thread = Budget(1, 1)
        self._pieces_max, self._share = pieces_max, max(1, pieces_max // 2)
        self._pieces: Counter[str] = Counter()  # that wait or are in work, by client

    async def run(self, work: Callable[[], T], client: str = "") -> T:
        """The result of `work`, which touches nothing that changes; raises Refusal(429) if too much is waiting."""
        if client and (own := self._pieces[client]):
            if own >= self._share:
                raise Refusal(429, "too much long work of your address is waiting; retry later")
            if self._pieces.total() >= self._pieces_max:
                raise Refusal(429, "too much long work is waiting; retry later")
        self._pieces[client] += 1
        try:
            await self._thread.take(1, client)
        except BaseException:
            self._end(client)
            raise
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(lambda _future: self._end_piece(client))
        try:
            return await asyncio.shield(future)
        finally:
            del future  # an error's traceback has this frame: with the future in it nothing of the work would go

    def _end_piece(self, client: str) -> None:
        """The thread is free for the next piece, whether somebody waits for the result or not."""
        self._thread.give(1, client)
        self._end(client)

    def _end(self, client: str) -> None:
        self._pieces[client] -= 1
        if not self._pieces[client]:
            del self._pieces[client]

    def close(self) -> None:
        """Start nothing any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
