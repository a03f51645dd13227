"""Evaluations that would hold the event loop for long: a forked child decides them (design: Scheduling, decision 0007).

The fork happens between two turns of the loop, so the child has the state and the columns of that moment for nothing.
It decides some evaluations, one after another, each on what the ones before it left; each decision comes back at once,
as the bytes of commands. One child at a time; everything else is decided meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgpack

from yurt.fsm import commands
from yurt.fsm.commands import ApplyPlan
from yurt.fsm.errors import YurtError
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.job import SYSBATCH, SYSTEM
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.duties.planner import timed
from yurt.scheduler.evaluate import evaluate
from yurt.server.raft.storage.apart import Forked, Say

PLACEMENTS_AT_ONCE = 256  # about what the loop may be held for: 10 ms
PLACEMENTS_PER_CHILD = 20_000  # about a second: what comes in meanwhile is not in its view
DECISION_BYTES_MAX = 2 << 30
SECONDS_MAX = 45.0  # for one decision; then the child is killed: the broker itself waits for ever
NICE = 5


class Decided(NamedTuple):
    """The index that was looked at, and the plan as encoded commands; none if a blocked evaluation just waits on."""

    eval_id: str
    seen: int
    pieces: list[bytes]


def placements_of(reader: Reader, evaluation: Evaluation, cluster: Cluster) -> int:
    """How many allocations an evaluation may have to look at."""
    job = reader.get(JOBS, (evaluation.namespace, evaluation.job_id))
    if job is None:
        return 0
    groups = job.task_groups or ()
    if job.type in (SYSTEM, SYSBATCH):
        return len(cluster) * len(groups)
    return sum(group.count for group in groups)


class HeavyEvaluations:
    """Decides some evaluations at a time in a child."""

    def __init__(self) -> None:
        self._child = Forked()

    def begin(
        self, reader: Reader, evaluations: Sequence[Evaluation], cluster: Cluster, now_ns: int, clock: Callable[[], int]
    ) -> AsyncGenerator[Decided, None]:
        """Fork now; what is returned gives the decisions in their order.

        It raises YurtError or OSError where the child did not get on. Raises OSError if there can be no child.
        """
        reading = self._child.begin(partial(_work, reader, evaluations, cluster, now_ns, clock), nice=NICE)
        return self._decisions(reading)

    async def _decisions(self, reading: int) -> AsyncGenerator[Decided, None]:
        loop = asyncio.get_running_loop()
        said: asyncio.Queue[bytes | None] = asyncio.Queue()
        ended = loop.run_in_executor(
            None, self._read, reading, lambda part: loop.call_soon_threadsafe(said.put_nowait, part)
        )
        try:
            while True:
                limit = loop.call_later(SECONDS_MAX, self._child.abandon)
                try:
                    answer = await said.get()
                finally:
                    limit.cancel()
                if answer is None:
                    break
                yield Decided(*msgpack.unpackb(answer, max_bin_len=DECISION_BYTES_MAX))
        finally:
            self._child.abandon()
            await ended

    def _read(self, reading: int, say: Callable[[bytes | None], object]) -> None:
        try:
            for part in self._child.parts(reading, bytes_max=DECISION_BYTES_MAX):
                if part:
                    say(part)
        finally:
            say(None)

    def stop(self) -> None:
        """Give up what is being decided."""
        self._child.abandon()


def _work(
    reader: Reader,
    evaluations: Sequence[Evaluation],
    cluster: Cluster,
    now_ns: int,
    clock: Callable[[], int],
    say: Say,
) -> bytes:
    for evaluation in evaluations:
        started = clock()
        outcome = evaluate(reader, evaluation, now_ns=now_ns, cluster=cluster)
        timed(outcome, clock() - started)
        plan = [] if outcome.finds_no_room_again(evaluation) else outcome.commands(now_ns)
        pieces = [commands.encode(one) for one in plan]
        say(msgpack.packb(Decided(evaluation.id, outcome.snapshot_index, pieces)))
        cluster.reserve(one.allocation for one in outcome.placed)
    return b""


def reserving(
    pieces: Sequence[bytes], placed: list[Allocation], reserve: Callable[[Sequence[Allocation]], None]
) -> Iterator[ApplyPlan]:
    """The commands of a child; the room of what one places is taken, and noted in `placed`, at its turn."""
    for piece in pieces:
        command = decoded(piece)
        own = [one.allocation for one in command.placed]
        placed += own
        reserve(own)
        yield command


def decoded(payload: bytes) -> ApplyPlan:
    """A command that a child sent."""
    command = commands.decode(payload)
    if not isinstance(command, ApplyPlan):
        raise YurtError("a child sent something else than a plan")
    return command
