"""Evaluations that wait for a new leader, and the ends of those that nobody works on any more (spec scheduling §3)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Sequence

from yurt.fsm.commands import UpdateEvaluations
from yurt.fsm.store.schema import EVALUATIONS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import FAILED, PENDING, Evaluation
from yurt.server.host import Host

log = logging.getLogger("leader")

AGAIN_SECONDS = 1.0
FOLLOW_UP_NS, FOLLOW_UP_SPREAD_NS = 60_000_000_000, 300_000_000_000


class EvaluationEnds:
    """Canceled and failed evaluations are in no queue: a command that is lost would leave them pending for ever."""

    def __init__(self, server: Host) -> None:
        self._server = server

    async def store(self, evaluations: Sequence[Evaluation], is_current: Callable[[], bool]) -> None:
        """Store them, with follow-ups that are new; again as long as this server leads and works on evaluations."""
        while is_current():
            left = tuple(one for one in evaluations if self._is_open(one))
            if not left:
                return
            try:
                await self._server.propose(UpdateEvaluations(now_ns=self._server.now_ns(), evaluations=left))
            except Exception as error:  # noqa: BLE001 (whatever it is: they must not stay open)
                self._server.supervisor.noted("evaluations", error)
                log.debug("the end of evaluations was not committed", extra={"reason": str(error)})
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def _is_open(self, evaluation: Evaluation) -> bool:
        """Whether an end is still to be stored; or a follow-up, which is not there yet."""
        stored = self._server.view().get(EVALUATIONS, evaluation.id)
        return evaluation.status == PENDING if stored is None else not stored.is_terminal


def open_evaluations(server: Host, status: str) -> Iterator[Evaluation | None]:
    """The evaluations of a status as they are when their turn comes; None now and then, to give way."""
    for evaluation in server.view().each(EVALUATIONS, "status", status):
        newest = None if evaluation is None else server.view().get(EVALUATIONS, evaluation.id)
        yield newest if newest is not None and newest.status == status else None


def undeliverable(evaluation: Evaluation, follow_up_id: str, chance: random.Random) -> tuple[Evaluation, Evaluation]:
    """An evaluation that broke whoever worked on it, ended; and the one that tries it again later."""
    follow_up = Evaluation(
        id=follow_up_id,
        namespace=evaluation.namespace,
        priority=evaluation.priority,
        type=evaluation.type,
        triggered_by="failed-follow-up",
        job_id=evaluation.job_id,
        status=PENDING,
        wait=FOLLOW_UP_NS + chance.randrange(FOLLOW_UP_SPREAD_NS),
        previous_eval=evaluation.id,
    )
    ended: Evaluation = replace(
        evaluation,
        status=FAILED,
        status_description="evaluation reached delivery limit (3)",
        next_eval=follow_up.id,
    )
    return ended, follow_up
