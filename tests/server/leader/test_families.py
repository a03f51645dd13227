"""A parent ends with all its children, however many there are, in commands of bounded work."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from yurt.fsm import commands
from yurt.fsm.commands import DeregisterFamily
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import JOB_SUMMARIES, JOB_VERSIONS, JOBS
from yurt.fsm.structs.job import DEAD, Job, JobSummary, ParameterizedJob, Periodic
from yurt.server.leader.families import AT_ONCE_MAX, end_family
from yurt.server.platform.turns import Turns


class Leading:
    """As much of a leader as a write needs; after `fails_after` commands it leads no more."""

    def __init__(self, children: int) -> None:
        self.machine = Machine()
        self.view = self.machine.view
        self.turns = Turns()
        self.changes: list[int] = []
        self.fails_after = 1_000_000
        self._ids = 0
        transaction = self.machine.store.begin(10)
        parent = Job(id="p", parameterized_job=ParameterizedJob(), status="running")
        family = [parent]
        for number in range(children):
            family.append(Job(id=f"p/dispatch-{number:04d}", parent_id="p", dispatched=True, status="running"))
        family.append(Job(id="p/ended", parent_id="p", dispatched=True, status=DEAD))
        family.append(Job(id="p/clock", parent_id="p", periodic=Periodic(spec="@daily"), status="running"))
        family.append(Job(id="p/clock/one", parent_id="p/clock", status="running"))
        for job in family:
            transaction.put(JOBS, job)
            transaction.put(JOB_VERSIONS, job)
            transaction.put(JOB_SUMMARIES, JobSummary(job_id=job.id, namespace="default"))
        self.machine.store.commit(transaction)
        self.machine.on_commit(lambda _index, changes: self.changes.append(len(changes)))

    def new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    async def propose(self, command: commands.Command) -> Any:
        await asyncio.sleep(0)
        if len(self.changes) >= self.fails_after:
            raise ConnectionError("it leads no more")
        outcome = self.machine.apply(commands.encode(command))
        assert isinstance(outcome, Applied)
        return outcome.value

    def end(self, *, purge: bool) -> Any:
        command = DeregisterFamily(now_ns=1, namespace="default", job_id="p", purge=purge, eval_id="e")
        return asyncio.run(end_family(self, command))  # type: ignore[arg-type]


def test_a_small_family_ends_in_one_command() -> None:
    server = Leading(AT_ONCE_MAX - 3)
    server.end(purge=True)
    assert len(server.changes) == 1 and server.view().count(JOBS) == 0


@pytest.mark.parametrize("purge", [False, True])
def test_a_large_family_ends_in_commands_of_bounded_work(purge: bool) -> None:
    server = Leading(300)
    result = server.end(purge=purge)
    jobs = list(server.view().scan(JOBS))
    if purge:
        assert jobs == [] and result.index == server.machine.index
    else:
        assert {job.id for job in jobs if not job.stop} == {"p/ended"}
        assert next(job for job in jobs if job.id == "p").version == 1
    assert len(server.changes) > 300 and max(server.changes) < 15


def test_a_purge_that_was_broken_off_is_repeated() -> None:
    server = Leading(100)
    server.fails_after = 40
    with pytest.raises(ConnectionError):
        server.end(purge=True)
    parent = server.view().get(JOBS, ("default", "p"))
    assert parent is not None and parent.stop and server.view().count(JOBS) > 50
    server.fails_after = 1_000_000
    server.end(purge=True)
    assert server.view().count(JOBS) == 0
