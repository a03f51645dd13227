"""Ends of evaluations that nobody works on any more: they are stored, or tried again (spec scheduling §3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from yurt.fsm.commands import UpdateEvaluations
from yurt.fsm.errors import YurtError
from yurt.fsm.store.schema import EVALUATIONS
from yurt.fsm.structs.evaluation import PENDING, Evaluation

if TYPE_CHECKING:
    from yurt.server.server import Server

log = logging.getLogger("leader")

AGAIN_SECONDS = 1.0


class EvaluationEnds:
    """Canceled and failed evaluations are in no queue: a command that is lost would leave them pending for ever."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def store(self, evaluations: Sequence[Evaluation], is_current: Callable[[], bool]) -> None:
        """Store them, with follow-ups that are new; again as long as this server leads and works on evaluations."""
        while is_current():
            left = tuple(one for one in evaluations if self._is_open(one))
            if not left:
                return
            try:
                await self._server.propose(UpdateEvaluations(now_ns=self._server.now_ns(), evaluations=left))
            except YurtError as error:
                log.debug("the end of evaluations was not committed", extra={"reason": str(error)})
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def _is_open(self, evaluation: Evaluation) -> bool:
        """Whether an end is still to be stored; or a follow-up, which is not there yet."""
        stored = self._server.view().get(EVALUATIONS, evaluation.id)
        return evaluation.status == PENDING if stored is None else not stored.is_terminal
