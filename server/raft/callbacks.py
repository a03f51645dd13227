"""Calling back those who wait for an engine: an error of one of them disturbs nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from yurt.server.raft.consensus import Callback

log = logging.getLogger("raft")


def tell(callback: Callback, result: Any, error: Exception | None) -> None:
    """Call back; an error of whoever is called is logged: the engine must not stop half way, nor apply twice."""
    try:
        callback(result, error)
    except Exception:
        log.exception("a callback broke; the engine goes on")


class LeadershipCallbacks:
    """Callbacks about who leads; the engine calls `seen` whenever that may have changed."""

    def __init__(self) -> None:
        self._duties: list[Callable[[bool], None]] = []
        self._led: list[Callback] = []
        self._changed: list[Callback] = []
        self._leader: str | None = None  # the ID of the last that was known
        self._was_ready = False

    def on_leadership(self, callback: Callable[[bool], None]) -> None:
        """Call back with each change of `is_ready`."""
        self._duties.append(callback)

    def when_led(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as there is a leader to ask."""
        self._led.append(callback)

    def when_leader_changes(self, callback: Callback) -> None:
        """`callback(None, None)` as soon as another server than the one known last leads."""
        self._changed.append(callback)

    def seen(self, leader: str | None, *, is_led: bool, is_ready: bool) -> None:
        """Take what is known now: the leader's ID, whether it can be asked, whether it is this server and ready."""
        if is_led:
            _tell_all(self._led)
        if leader is not None and leader != self._leader:
            self._leader = leader
            _tell_all(self._changed)
        if self._was_ready != is_ready:
            self._was_ready = is_ready
            for callback in self._duties:
                callback(is_ready)

    def begin_anew(self) -> None:
        """End this server's leadership and begin it again, for those who go by the state."""
        for callback in self._duties:
            callback(False)
            callback(True)


def _tell_all(waiting: list[Callback]) -> None:
    called = waiting.copy()
    waiting.clear()
    for callback in called:
        tell(callback, None, None)
