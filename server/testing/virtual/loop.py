"""An event loop on virtual time: what product code asks of asyncio, answered by a machine of the world."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yurt.server.testing.virtual.host import Host
    from yurt.server.testing.virtual.world import World

THREAD_SECONDS = 0.001  # that work beside the loop takes, whatever it is


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one incarnation of a machine: what is left of it dies with the incarnation.

    It has timers, tasks, futures and executors (whose work is done at once, in the same thread), and no sockets.
    `errors` gathers what no task caught.
    """

    def __init__(self, host: Host, errors: list[str]) -> None:
        self._host, self._errors = host, errors

    def time(self) -> float:
        """The machine's clock."""
        return self._host.clock()

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Always: it is asked for by what runs in it."""
        return True

    def is_closed(self) -> bool:
        """Never: what belongs to a process that has ended is not called any more."""
        return False

    def call_soon(  # type: ignore[override]  # without the type variables of typeshed
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back after what is at hand."""
        handle = asyncio.Handle(callback, args, self, context)
        self._host.world.later(0.0, self._host.mine(lambda: _run(handle)))
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # the same

    def call_later(  # type: ignore[override]  # the same
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back once, in seconds of the machine's clock."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # the same
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back once, at a time of the machine's clock."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        seconds = max(0.0, when - self.time()) / self._host.rate
        self._host.world.later(seconds, self._host.mine(lambda: _run(handle)))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays where it is, and does nothing when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **given: Any) -> asyncio.Task[Any]:  # type: ignore[override]  # the same
        """A task of this loop; of a process that has ended it is frozen for ever: it must not even clean up."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **given)
        tasks = self._host.world.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # the same
        """Do it in a moment, in this thread: nothing runs beside a simulation."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 (the future's, as of every executor)
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_later(THREAD_SECONDS, work)
        return future

    async def create_connection(self, *_args: Any, **_given: Any) -> Any:
        """Nobody can be reached by a socket: raises OSError."""
        raise OSError(errno.ENETUNREACH, "there are no sockets on virtual time")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember what went wrong."""
        if "destroyed but it is pending" not in context.get("message", ""):  # its process has ended
            self._errors.append(f"{context.get('message')}: {context.get('exception')!r}")


def _run(handle: asyncio.Handle) -> None:
    if not handle.cancelled():
        handle._run()


def forget_frozen_tasks(world: World) -> None:
    """At a world's end: what processes that have ended left behind goes, silently."""
    for task in list(world.tasks):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # of its own: its end is no mistake
        coroutine = task.get_coro()
        with contextlib.suppress(Exception):  # what it wants to clean up is gone with its process
            if coroutine is not None:
                coroutine.close()
    world.tasks.clear()
