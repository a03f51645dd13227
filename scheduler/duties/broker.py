"""The evaluation broker: which evaluation is worked on next (spec scheduling §3).

A state machine of the leader, rebuilt from the state at each election. Of a job only one evaluation is ready or in
work. Time is handed in, in seconds of a clock that never jumps; `wall` is the time of day beside it, for evaluations
that name one.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

from yurt.fsm.structs.evaluation import Evaluation
from yurt.fsm.structs.times import from_rfc3339

DELIVERY_LIMIT = 3
JobKey = tuple[str, str]


@dataclass
class Broker:
    """All evaluations that wait or are in work, by ID."""

    nack_seconds: float = 60.0  # inf: no worker goes without an ack or a nack
    _ready: list[tuple[int, int, int, Evaluation]] = field(default_factory=list)
    _aside: list[Evaluation] = field(default_factory=list)  # ready, but not offered
    _active: dict[JobKey, str] = field(default_factory=dict)  # the one that is ready or in work
    _pending: dict[JobKey, list[tuple[int, int, Evaluation]]] = field(default_factory=dict)
    _delayed: list[tuple[float, str, Evaluation]] = field(default_factory=list)
    _unacked: dict[str, tuple[Evaluation, float]] = field(default_factory=dict)
    _deliveries: dict[str, int] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _again: dict[str, Evaluation] = field(default_factory=dict)  # woken while they are in work
    _sequence: int = 0
    failed: list[Evaluation] = field(default_factory=list)

    def enqueue(self, evaluation: Evaluation, now: float, wall: float | None = None) -> None:
        """Take an evaluation in; one that is known already is left as it is."""
        if evaluation.id in self._known:
            return
        self._known.add(evaluation.id)
        due = _due(evaluation, now, now if wall is None else wall)
        if due > now:
            heapq.heappush(self._delayed, (due, evaluation.id, evaluation))
        else:
            self._admit(evaluation)

    def wake(self, evaluation: Evaluation, now: float, wall: float | None = None) -> None:
        """Take a blocked evaluation in that may find room now; one that is in work is worked on once more."""
        if evaluation.id in self._unacked:
            self._again[evaluation.id] = evaluation
        else:
            self.enqueue(evaluation, now, wall)

    def _admit(self, evaluation: Evaluation) -> None:
        key = (evaluation.namespace, evaluation.job_id)
        if key in self._active:
            entry = (-evaluation.priority, -evaluation.modify_index, evaluation)
            self._pending.setdefault(key, []).append(entry)
            return
        self._active[key] = evaluation.id
        self._push_ready(evaluation)

    def dequeue(self, now: float) -> Evaluation | None:
        """The next evaluation to work on; it comes back after `nack_seconds` unless it is acknowledged."""
        self._wake(now)
        if not self._ready:
            return None
        evaluation = heapq.heappop(self._ready)[3]
        self._deliveries[evaluation.id] = self._deliveries.get(evaluation.id, 0) + 1
        self._unacked[evaluation.id] = (evaluation, now + self.nack_seconds)
        return evaluation

    def set_aside(self, eval_id: str) -> None:
        """It was taken, but cannot be worked on now: as if it had not been, but not offered before `offer_aside`."""
        evaluation = self._unacked.pop(eval_id)[0]
        self._deliveries[eval_id] -= 1
        self._aside.append(evaluation)

    def offer_aside(self) -> None:
        """Make the evaluations that were set aside ready again, in their old order: priority, then CreateIndex."""
        aside, self._aside = self._aside, []
        for evaluation in aside:
            self._push_ready(evaluation)

    def _push_ready(self, evaluation: Evaluation) -> None:
        self._sequence += 1
        heapq.heappush(self._ready, (-evaluation.priority, evaluation.create_index, self._sequence, evaluation))

    def _wake(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            self._admit(heapq.heappop(self._delayed)[2])
        if self._unacked:
            eval_id, (_, deadline) = next(iter(self._unacked.items()))
            if deadline <= now:
                self.nack(eval_id, now)

    def ack(self, eval_id: str) -> list[Evaluation]:
        """It is done. Answer the job's older pending ones, which need not be worked on any more."""
        entry = self._unacked.pop(eval_id, None)
        if entry is None:
            return []
        evaluation = entry[0]
        self._forget(eval_id)
        key = (evaluation.namespace, evaluation.job_id)
        del self._active[key]
        if (again := self._again.pop(eval_id, None)) is not None:
            self._known.add(eval_id)
            self._pending.setdefault(key, []).append((-again.priority, -again.modify_index, again))
        waiting = sorted(self._pending.pop(key, []), key=lambda one: one[:2])
        if not waiting:
            return []
        for _, _, other in waiting[1:]:
            self._forget(other.id)
        self._admit(waiting[0][2])
        return [other for _, _, other in waiting[1:]]

    def nack(self, eval_id: str, now: float) -> None:
        """It was not done: again after a while, or among the failed after the delivery limit."""
        entry = self._unacked.pop(eval_id, None)
        if entry is None:
            return
        evaluation = entry[0]
        self._again.pop(eval_id, None)
        key = (evaluation.namespace, evaluation.job_id)
        del self._active[key]
        count = self._deliveries[eval_id]
        if count >= DELIVERY_LIMIT:
            self._forget(eval_id)
            self.failed.append(evaluation)
        else:
            wait = 1.0 if count == 1 else (count - 1) * 20.0
            heapq.heappush(self._delayed, (now + wait, eval_id, evaluation))
        waiting = sorted(self._pending.pop(key, []), key=lambda one: one[:2])
        for _, _, other in waiting:
            self._admit(other)

    def _forget(self, eval_id: str) -> None:
        self._known.discard(eval_id)
        self._deliveries.pop(eval_id, None)

    def next_deadline(self) -> float | None:
        """When something happens by itself; None if nothing will."""
        deadlines = [self._delayed[0][0]] if self._delayed else []
        if self._unacked:
            deadlines.append(next(iter(self._unacked.values()))[1])
        earliest = min(deadlines, default=math.inf)
        return earliest if earliest < math.inf else None

    def counts(self) -> dict[str, int]:
        """How many are ready, in work, pending behind another of their job, and delayed."""
        return {
            "ready": len(self._ready) + len(self._aside),
            "unacked": len(self._unacked),
            "pending": sum(len(one) for one in self._pending.values()),
            "waiting": len(self._delayed),
        }


def _due(evaluation: Evaluation, now: float, wall: float) -> float:
    """When it may be worked on: so long from now, whatever becomes of the time of day meanwhile."""
    if evaluation.wait_until:
        return now + from_rfc3339(evaluation.wait_until) / 1e9 - wall
    return now + evaluation.wait / 1e9
