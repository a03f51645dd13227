"""Evaluations that would hold the event loop for long: a forked child decides them (design: Scheduling, decision 0007).

The fork happens between two turns of the loop, so the child has the state and the columns of that moment for nothing.
What it decides comes back as the bytes of commands. One child at a time; everything else is decided meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgpack

from yurt.fsm import commands
from yurt.fsm.commands import ApplyPlan
from yurt.fsm.errors import YurtError
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import SYSBATCH, SYSTEM
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.duties.planner import timed
from yurt.scheduler.evaluate import evaluate
from yurt.server.raft.apart import Forked

log = logging.getLogger("leader")

PLACEMENTS_AT_ONCE = 256  # about what the loop may be held for: 10 ms
RESULT_BYTES_MAX = 2 << 30
SECONDS_MAX = 45.0  # then the child is killed, and its evaluation tried again: the broker itself waits for ever
NICE = 5
# The index that was looked at, and the plan as encoded commands in their order; none if a blocked one just waits on.
Decided = tuple[int, list[bytes]]


def is_heavy(reader: Reader, evaluation: Evaluation, cluster: Cluster) -> bool:
    """Whether an evaluation may have to look at many allocations."""
    job = reader.get(JOBS, (evaluation.namespace, evaluation.job_id))
    if job is None:
        return False
    groups = job.task_groups or ()
    if job.type in (SYSTEM, SYSBATCH):
        return len(cluster) * len(groups) > PLACEMENTS_AT_ONCE
    return sum(group.count for group in groups) > PLACEMENTS_AT_ONCE


class HeavyEvaluations:
    """Decides one evaluation at a time in a child; `is_free` says whether another may be begun."""

    def __init__(self) -> None:
        self._child = Forked()
        self.is_free = True

    def begin(self, reader: Reader, evaluation: Evaluation, cluster: Cluster, now_ns: int) -> asyncio.Future[Decided]:
        """Fork now. The result is what was decided; YurtError or OSError if the child did not get there.

        Raises OSError if there can be no child.
        """
        reading = self._child.begin(_work(reader, evaluation, cluster, now_ns), nice=NICE)
        self.is_free = False
        loop = asyncio.get_running_loop()
        limit = loop.call_later(SECONDS_MAX, self._child.abandon)
        found = loop.run_in_executor(None, self._result, reading)

        def ended(_found: asyncio.Future[Decided]) -> None:
            self.is_free = True
            limit.cancel()

        found.add_done_callback(ended)
        return found

    def _result(self, reading: int) -> Decided:
        answer = self._child.result(reading, bytes_max=RESULT_BYTES_MAX)
        seen, pieces = msgpack.unpackb(answer, max_bin_len=RESULT_BYTES_MAX)
        return seen, pieces

    def stop(self) -> None:
        """Give up what is being decided."""
        self._child.abandon()


def _work(reader: Reader, evaluation: Evaluation, cluster: Cluster, now_ns: int) -> Callable[[], bytes]:
    def work() -> bytes:
        started = time.perf_counter_ns()
        outcome = evaluate(reader, evaluation, now_ns=now_ns, cluster=cluster)
        timed(outcome, time.perf_counter_ns() - started)
        plan = [] if outcome.finds_no_room_again(evaluation) else outcome.commands(now_ns)
        packed: bytes = msgpack.packb((outcome.snapshot_index, [commands.encode(one) for one in plan]))
        return packed

    return work


def decoded(payload: bytes) -> ApplyPlan:
    """A command that a child sent."""
    command = commands.decode(payload)
    if not isinstance(command, ApplyPlan):
        raise YurtError("a child sent something else than a plan")
    return command
