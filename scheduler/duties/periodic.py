"""Launches of periodic jobs by the clock (spec scheduling §19).

A state machine of the leader, rebuilt from the state at each election; time is handed in, in Unix nanoseconds. Each
launch is answered once: whoever asks proposes it, and hands it back if it could not be written. The log keeps the time
of the last one, from which the next leader goes on.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from yurt.fsm.apply.children import overlaps
from yurt.fsm.job.validate.periodic import Zones, next_launch
from yurt.fsm.store.reader import Reader
from yurt.fsm.store.schema import JOBS, PERIODIC_LAUNCHES
from yurt.fsm.structs.job import Job

SECOND_NS = 1_000_000_000
SLICE = 2048  # work of one turn: looking at a job is 1,
PERIODIC_COST = 64  # finding a periodic job's next launch so much
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
        self._again: dict[JobKey, Launch] = {}  # due, but not in the log yet: tried once more
        self._retries: list[tuple[int, JobKey]] = []
        self._unseen: Iterator[JobKey] | None = None

    def begin(self, reader: Reader) -> None:
        """Every job is to be looked at: of each that missed launches while nobody led, one is due at once.

        The keys are read on with each turn.
        """
        self._unseen = reader.keys(JOBS)

    def _look(self, reader: Reader, now_ns: int) -> tuple[list[Launch], int]:
        """Look at jobs that were not seen yet: launches that make up for missed ones, and how much work that was."""
        launches: list[Launch] = []
        work = 0
        while self._unseen is not None and work < SLICE:
            key = next(self._unseen, None)
            if key is None:
                self._unseen = None
                break
            job = reader.get(JOBS, key)
            work += 1
            if job is not None and job.periodic is not None and key not in self._due:
                work += PERIODIC_COST
                if (launch := self._missed(reader, job, key, now_ns)) is not None:
                    launches.append(launch)
        return launches, work

    def _missed(self, reader: Reader, job: Job, key: JobKey, now_ns: int) -> Launch | None:
        """Track a job; the launch that makes up for those it missed."""
        row = reader.get(PERIODIC_LAUNCHES, key)
        due = next_launch(job, min(row.launch, now_ns) if row else now_ns, self._zones)
        if due is None or due >= now_ns:
            self._set(key, due)
            return None
        self.track(job, now_ns)
        return None if overlaps(reader, job) else Launch(*key, now_ns // SECOND_NS)

    def track(self, job: Job, now_ns: int) -> None:
        """The job is new or has changed: its next launch counts from now."""
        self._set((job.namespace, job.id), next_launch(job, now_ns, self._zones))

    def forget(self, namespace: str, job_id: str) -> None:
        """The job is gone."""
        self._due.pop((namespace, job_id), None)

    def _set(self, key: JobKey, due: int | None) -> None:
        if due is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def take(self, reader: Reader, now_ns: int) -> list[Launch]:
        """Take the due launches; of a job that is late for several only the first. Skipped ones are not made up.

        One call does a bounded piece of work; if there is more, the next deadline is past.
        """
        launches, work = self._look(reader, now_ns)
        while self._retries and self._retries[0][0] <= now_ns:
            launches.append(self._again.pop(heapq.heappop(self._retries)[1]))
        late = {(one.namespace, one.job_id) for one in launches}
        while work < SLICE and (due := self._next_due()) is not None and due <= now_ns:
            work += PERIODIC_COST
            key = heapq.heappop(self._heap)[1]
            del self._due[key]
            job = reader.get(JOBS, key)
            if job is None:
                continue
            if key not in self._again and key not in late and not overlaps(reader, job):
                launches.append(Launch(*key, due // SECOND_NS))
            self.track(job, now_ns)
        return launches

    def again(self, launch: Launch, now_ns: int) -> None:
        """The launch surely is not in the log: it is due again in a second, with the same name."""
        key = (launch.namespace, launch.job_id)
        if key not in self._again:
            self._again[key] = launch
            heapq.heappush(self._retries, (now_ns + SECOND_NS, key))

    def _next_due(self) -> int | None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def next_deadline(self) -> int | None:
        """When something is due next; None if nothing is."""
        if self._unseen is not None:
            return 0
        deadlines = [due for due in (self._next_due(), self._retries[0][0] if self._retries else None) if due]
        return min(deadlines, default=None)
