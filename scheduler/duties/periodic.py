"""Launches of periodic jobs by the clock (spec scheduling §19).

A state machine of the leader, rebuilt from the state at each election; time is handed in, in Unix nanoseconds. Each
launch is answered once: whoever asks proposes it, and its place in the log keeps it.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from yurt.fsm.job.validate.periodic import Zones, next_launch
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS, JOBS, PERIODIC_LAUNCHES
from yurt.fsm.structs.job import Job

SECOND_NS = 1_000_000_000
JobKey = tuple[str, str]


class Launch(NamedTuple):
    """A child that is due: its parent and the launch time that names it, in Unix seconds."""

    namespace: str
    job_id: str
    seconds: int


class PeriodicDispatcher:
    """When which job is due."""

    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._due: dict[JobKey, int] = {}
        self._heap: list[tuple[int, JobKey]] = []

    def begin(self, reader: Reader, now_ns: int) -> list[Launch]:
        """Track every job; of each that missed launches while nobody led, one is due now."""
        missed = []
        for job in reader.scan(JOBS):
            if job.periodic is None:
                continue
            row = reader.get(PERIODIC_LAUNCHES, (job.namespace, job.id))
            if row is not None:
                due = next_launch(job, row.launch, self._zones)
                if due is not None and due < now_ns and may_launch(reader, job):
                    missed.append(Launch(job.namespace, job.id, now_ns // SECOND_NS))
            self.track(job, now_ns)
        return missed

    def track(self, job: Job, now_ns: int) -> None:
        """The job is new or has changed: its next launch counts from now."""
        key = (job.namespace, job.id)
        due = next_launch(job, now_ns, self._zones)
        if due is None:
            self._due.pop(key, None)
            return
        if self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def forget(self, namespace: str, job_id: str) -> None:
        """The job is gone."""
        self._due.pop((namespace, job_id), None)

    def take(self, reader: Reader, now_ns: int) -> list[Launch]:
        """What is due; of a job that is late for several launches only the first. Skipped ones are not made up."""
        launches = []
        while (deadline := self.next_deadline()) is not None and deadline <= now_ns:
            due, key = heapq.heappop(self._heap)
            del self._due[key]
            job = reader.get(JOBS, key)
            if job is None:
                continue
            if may_launch(reader, job):
                launches.append(Launch(*key, due // SECOND_NS))
            self.track(job, now_ns)
        return launches

    def next_deadline(self) -> int | None:
        """When something is due next; None if nothing is."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


def may_launch(reader: Reader, job: Job) -> bool:
    """Whether another child may start: always, unless overlaps are prohibited and a child still does something."""
    if job.periodic is None or not job.periodic.prohibit_overlap:
        return True
    return not any(
        reader.has(EVALUATIONS, "live", (child.namespace, child.id))
        or reader.has(ALLOCATIONS, "live", (child.namespace, child.id))
        for child in reader.find(JOBS, "parent", (job.namespace, job.id))
    )
