"""The product's own state machine in a simulated cluster: clients write jobs with check-and-set.

Every history is held against a model of a few lines: a job is its newest index, and a write is accepted if it names it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from yurt.fsm import commands
from yurt.fsm.machine import Applied, Loaded, Machine, Refused
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.task import Task
from yurt.server.testing.simulation.world import Historian

JOBS = 4


class Placed(int):
    """The place of a command in the history, with what the state machine said."""

    outcome: Any

    @classmethod
    def of(cls, place: int, outcome: Any) -> Placed:
        made = cls(place)
        made.outcome = outcome
        return made


class JobStore(Historian):
    """`fsm.machine.Machine`, and beside it the history that led to its state."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()

    def apply(self, payload: bytes) -> Placed:
        outcome = self.machine.apply(payload)
        return Placed.of(super().apply(payload), outcome)

    def digest(self, place: bytes) -> tuple[bytes, bytes]:
        return self.machine.digest(place)

    def capture(self) -> Any:
        return list(self.applied), self.machine.capture()

    def write(self, capture: Any) -> Iterator[bytes]:
        applied, view = capture
        for payload in (b"%d" % len(applied), *applied):
            yield len(payload).to_bytes(4, "big") + payload
        yield from self.machine.write(view)

    def load(self, chunks: Iterator[bytes], *, in_pieces: bool = True) -> Any:
        body = memoryview(b"".join(chunks))
        count, body = _piece(body)
        applied = []
        for _ in range(int(count)):
            payload, body = _piece(body)
            applied.append(payload)
        return applied, Machine.load(iter([bytes(body)]))

    def swap(self, loaded: Any) -> None:
        state: Loaded
        self.applied, state = loaded
        self.machine.swap(state)

    def contents(self) -> bytes:
        """The whole state as a snapshot's bytes."""
        return b"".join(self.machine.write(self.machine.capture()))


def _piece(body: memoryview) -> tuple[bytes, memoryview]:
    end = 4 + int.from_bytes(body[:4], "big")
    return bytes(body[4:end]), body[end:]


class CasClients:
    """Check-and-set clients: each remembers the newest index it was told; it is often old, and the write is refused."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._known = [0] * JOBS

    def command(self, number: int) -> bytes:
        """The next write: a job with a new content, if it is still as one knew it."""
        chosen = self._chance.randrange(JOBS)
        task = Task(name="task", driver="mock_driver", config={"run_for": f"{number}s"})
        job = Job(id=str(chosen), name=str(chosen), task_groups=(TaskGroup(name="group", count=1, tasks=(task,)),))
        return commands.encode(
            commands.RegisterJob(
                now_ns=number, job=job, eval_id=f"{number:08d}-0000-4000-8000-000000000000",
                enforce_index=True, job_modify_index=self._known[chosen],
            )
        )  # fmt: skip

    def answered(self, payload: bytes, placed: Placed) -> None:
        """Learn what an answer tells."""
        command = commands.decode(payload)
        assert isinstance(command, commands.RegisterJob)
        if isinstance(placed.outcome, Applied):
            chosen = int(command.job.id)
            self._known[chosen] = max(self._known[chosen], placed.outcome.value.job_modify_index)
        else:
            assert isinstance(placed.outcome, Refused), f"a write broke the machine: {placed.outcome}"
            self._known = [0 if self._chance.random() < 0.1 else index for index in self._known]


def check(history: list[bytes], acknowledged: dict[bytes, int]) -> None:
    """Raise AssertionError unless the model gives every acknowledged answer; it is linear, so it is the witness."""
    newest = [0] * JOBS
    for place, payload in enumerate(history, start=1):
        command = commands.decode(payload)
        assert isinstance(command, commands.RegisterJob)
        chosen = int(command.job.id)
        accepted = newest[chosen] == command.job_modify_index
        answer = acknowledged.get(payload)
        if isinstance(answer, Placed):
            told = isinstance(answer.outcome, Applied)
            assert told == accepted, (
                f"write {place} of job {chosen} at {command.job_modify_index}: told {answer.outcome}"
            )
            assert answer.outcome.index == place + 1, f"write {place} was told index {answer.outcome.index}"
        if accepted:
            newest[chosen] = place + 1  # the machine's birth is index 1
