"""An event loop on virtual time: what product code asks of asyncio, answered by the simulated world."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.world import Server


_TASKS: set[asyncio.Task[Any]] = set()


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one incarnation of a machine: what is left of it dies with the incarnation.

    `errors` gathers what no task caught.
    """

    def __init__(self, server: Server, errors: list[str]) -> None:
        self._server, self._errors = server, errors

    def time(self) -> float:
        return self._server.clock()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._server.world.later(0.0, self._server.mine(lambda: _run(handle)))
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        seconds = max(0.0, when - self.time()) / self._server.rate
        self._server.world.later(seconds, self._server.mine(lambda: _run(handle)))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **given: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **given)
        _TASKS.add(task)  # a task of a process that has ended is frozen for ever: it must not even clean up
        task.add_done_callback(_TASKS.discard)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "destroyed but it is pending" not in context.get("message", ""):  # its process has ended
            self._errors.append(f"{context.get('message')}: {context.get('exception')!r}")


def _run(handle: asyncio.Handle) -> None:
    if not handle.cancelled():
        handle._run()


def forget_frozen_tasks() -> None:
    """Between two lives: what processes that have ended left behind goes, silently."""
    for task in list(_TASKS):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        with contextlib.suppress(Exception):  # what it wants to clean up is gone with its process
            if coroutine is not None:
                coroutine.close()
    _TASKS.clear()
