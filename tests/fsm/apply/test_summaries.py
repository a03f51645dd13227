"""Summaries that are counted anew: in steps, and stored unless they have changed since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from yurt.fsm import commands as c
from yurt.fsm.apply.summaries import counting
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import ALLOCATIONS, JOB_SUMMARIES, JOBS
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job, JobChildrenSummary, JobSummary, TaskGroupSummary
from yurt.server.leader.summaries import AT_ONCE_MAX, reconcile
from yurt.server.platform.turns import Turns

RIGHT = {"g": TaskGroupSummary(queued=2, running=3)}
KEY = ("default", "j")


def machine_with(jobs: int = 1) -> Machine:
    """Jobs with three running allocations each and a dead child, whose summaries know nothing of them."""
    machine = Machine()
    transaction = machine.store.begin(10)
    for number in range(jobs):
        name = "j" if not number else f"j{number}"
        transaction.put(
            JOB_SUMMARIES,
            JobSummary(job_id=name, namespace="default", summary={"g": TaskGroupSummary(queued=2)}, modify_index=10),
        )
        transaction.put(JOBS, Job(id=f"{name}/child", namespace="default", parent_id=name, status="dead"))
        for at in range(3):
            row = Allocation(
                id=f"{name}-{at}", namespace="default", job_id=name, task_group="g", client_status="running"
            )
            transaction.put(ALLOCATIONS, row)
    machine.store.commit(transaction)
    return machine


def summary(machine: Machine, name: str = "j") -> JobSummary:
    found = machine.view().get(JOB_SUMMARIES, ("default", name))
    assert found is not None
    return found


def test_counting_takes_a_step_a_row() -> None:
    machine = machine_with()
    found = []

    def passing() -> Iterator[None]:
        found.append((yield from counting(machine.view(), summary(machine))))

    assert len(list(passing())) == 4
    assert (found[0].summary, found[0].children) == (RIGHT, JobChildrenSummary(dead=1))


@pytest.mark.parametrize("changes", [False, True])
def test_a_counted_summary_is_stored_unless_it_has_changed_since(changes: bool) -> None:
    machine = machine_with()
    counted = replace(summary(machine), summary=RIGHT)
    command = c.ReconcileSummaries(summaries=(counted, replace(counted, job_id="gone")))
    assert (c.encode(command)[0], c.encode(c.ReconcileSummaries())[0]) == (6, 1)
    if changes:
        transaction = machine.store.begin(11)
        transaction.put(JOB_SUMMARIES, replace(summary(machine), modify_index=11))
        machine.store.commit(transaction)
    assert isinstance(machine.apply(c.encode(command)), Applied)
    assert (summary(machine).summary == RIGHT) is not changes
    assert machine.view().count(JOB_SUMMARIES) == 1


class Leading:
    """As much of a server as counting needs."""

    def __init__(self, machine: Machine, version: int) -> None:
        self.machine, self.view, self.version = machine, machine.view, version
        self.turns = Turns(iter(range(10**9)).__next__)  # each look at the clock ends a slice
        self.commands: list[c.ReconcileSummaries] = []

    def now_ns(self) -> int:
        return 1

    def version_known_by_all(self) -> int:
        return self.version

    async def propose(self, command: c.ReconcileSummaries) -> Any:
        self.commands.append(command)
        outcome = self.machine.apply(c.encode(command))
        assert isinstance(outcome, Applied)
        return outcome.value


@pytest.mark.parametrize("version", [5, 6])
def test_all_summaries_are_counted_in_turns_and_commands_of_bounded_work(version: int) -> None:
    machine = machine_with(3 * AT_ONCE_MAX)
    server = Leading(machine, version)
    rounds = [0]

    async def run() -> None:
        async def others() -> None:
            while True:
                rounds[0] += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(others())
        index = await reconcile(server)  # type: ignore[arg-type]
        assert index == machine.index
        again = await reconcile(server)  # type: ignore[arg-type]
        assert again == machine.index
        task.cancel()

    asyncio.run(run())
    assert {row.summary["g"] for row in machine.view().scan(JOB_SUMMARIES)} == {RIGHT["g"]}
    if version == 6:
        assert [len(command.summaries or ()) for command in server.commands] == [AT_ONCE_MAX] * 3
        assert rounds[0] > 3 * AT_ONCE_MAX * 5 // 8
    else:
        assert [command.summaries for command in server.commands] == [None, None]
