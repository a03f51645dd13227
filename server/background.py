"""Long pure work beside the event loop (design: HTTP, fast and bounded).

One thread takes one piece after the other. The short switch interval (docs/decisions/0004) gives the loop the
interpreter back within half a millisecond, so a piece of seconds does not hold up other requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from yurt.fsm.errors import Refusal

T = TypeVar("T")
PIECES_MAX = 32
LARGE_BODY_BYTES = 64 * 1024  # admitted within some 4 ms


class Background:
    """Pieces of work that wait for the thread, a bounded number of them."""

    def __init__(self, pieces_max: int = PIECES_MAX) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
        self._free = threading.Semaphore(pieces_max)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which touches nothing that changes; raises Refusal(429) if too much is waiting."""
        if not self._free.acquire(blocking=False):
            raise Refusal(429, "too much long work is waiting; retry later")
        future = asyncio.get_running_loop().run_in_executor(self._executor, self._piece, work)
        try:
            return await asyncio.shield(future)
        finally:
            del future  # an error's traceback has this frame: with the future in it nothing of the work would go

    def _piece(self, work: Callable[[], T]) -> T:
        try:
            return work()
        finally:
            self._free.release()

    def close(self) -> None:
        """Start nothing any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
