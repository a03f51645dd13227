"""The leader collects what nobody needs any more, regularly and when told to (spec scheduling §20)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from yurt.fsm.commands import Command
from yurt.scheduler.duties.gc import FORCED, Thresholds, collectable
from yurt.scheduler.duties.token_gc import collectable_tokens
from yurt.server.config.agent import nanoseconds

if TYPE_CHECKING:
    from yurt.server.server import Server


class Garbage:
    """The collector of a server while it leads; `propose` takes commands in their order."""

    def __init__(self, server: Server, propose: Callable[[Sequence[Command]], None]) -> None:
        self._server, self._propose = server, propose
        self._timer: asyncio.TimerHandle | None = None
        config = server.config.server
        self._thresholds = Thresholds(
            evaluation=nanoseconds(config.eval_gc_threshold),
            batch_evaluation=nanoseconds(config.batch_eval_gc_threshold),
            job=nanoseconds(config.job_gc_threshold),
            deployment=nanoseconds(config.deployment_gc_threshold),
            node=nanoseconds(config.node_gc_threshold),
        )
        self._token_threshold = nanoseconds(config.acl_token_gc_threshold)
        self._seconds = nanoseconds(config.job_gc_interval) / 1e9
        server.force_collection = lambda: self._collect(FORCED)

    def start(self) -> None:
        """Collect after each interval from now on."""
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._collect_regularly)

    def stop(self) -> None:
        """Collect no more by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _collect_regularly(self) -> None:
        self._collect(self._thresholds)
        self.start()

    def _collect(self, thresholds: Thresholds) -> None:
        command = collectable(self._server.view(), self._server.now_ns(), thresholds)
        if not self._server.is_ready:
            return
        if command is not None:
            self._propose([command])
        threshold = 0 if thresholds is FORCED else self._token_threshold
        if ended := collectable_tokens(self._server.view(), self._server.now_ns(), threshold):
            self._propose(ended)
