"""The periodic launches' driver: nothing is lost when writes are refused, and only so many are under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from yurt.fsm import commands
from yurt.fsm.commands import LaunchPeriodicJob, RegisterJob
from yurt.fsm.errors import Refusal
from yurt.fsm.machine import Applied, Machine
from yurt.fsm.store.schema import JOBS
from yurt.fsm.structs.job import Job, Periodic
from yurt.server.leader.periodic_dispatcher import INFLIGHT_MAX, PeriodicLaunches
from yurt.server.platform.supervision import Supervisor
from yurt.server.raft.errors import NotLeader, OutcomeUnknown, Overloaded, StorageFull

START = 1_800_000_000 * 1_000_000_000  # a full minute


class FakeServer:
    """A machine whose log may refuse; its clock can be set."""

    def __init__(self, *jobs: str, spec: str = "* * * * * * *") -> None:
        self.machine = Machine()
        self.began = time.monotonic_ns()
        self.versions_kept = 6
        self.proposed: list[LaunchPeriodicJob] = []
        self.troubles: list[Exception] = []
        self.under_way = self.under_way_max = 0
        self.leadership: Callable[[bool], None] = lambda _leads: None
        self.supervisor = Supervisor()
        self.engine = SimpleNamespace(on_leadership=self._keep)
        self.hold: asyncio.Event | None = None
        for job_id in jobs:
            job = Job(id=job_id, name=job_id, type="batch", periodic=Periodic(specs=(spec,)))
            self.apply(RegisterJob(now_ns=START, job=job))

    def _keep(self, callback: Callable[[bool], None]) -> None:
        self.leadership = callback

    def now_ns(self) -> int:
        return START + (time.monotonic_ns() - self.began)

    def new_id(self) -> str:
        return f"eval-{len(self.proposed)}"

    def view(self) -> Any:
        return self.machine.view()

    def apply(self, command: commands.Command) -> Any:
        outcome = self.machine.apply(commands.encode(command))
        if isinstance(outcome, Applied):
            return outcome.value
        raise Refusal(outcome.status, outcome.text)  # type: ignore[union-attr]

    async def propose(self, command: LaunchPeriodicJob) -> Any:
        self.proposed.append(command)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            await (self.hold.wait() if self.hold is not None else asyncio.sleep(0))
            if self.troubles:
                raise self.troubles.pop(0)
            return self.apply(command)
        finally:
            self.under_way -= 1

    def children(self) -> list[str]:
        return [job.id for job in self.view().scan(JOBS) if job.parent_id]


async def until(predicate: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def run(server: FakeServer, scenario: Callable[[PeriodicLaunches], Any]) -> None:
    async def play() -> None:
        launches = PeriodicLaunches(server)  # type: ignore[arg-type]
        try:
            await scenario(launches)
        finally:
            launches.stop()

    asyncio.run(play())


def test_launches_that_were_surely_not_written_come_back_under_their_names() -> None:
    server = FakeServer("a", "b", "c", spec="0 0 0 1 1 * 2099")
    server.troubles = [NotLeader(), Overloaded(), StorageFull()]

    async def scenario(_: PeriodicLaunches) -> None:
        server.began -= 100 * 365 * 86_400 * 1_000_000_000  # the launches were missed
        server.leadership(True)
        await until(lambda: len(server.children()) == 3)
        assert len(server.proposed) == 6 and all(one.by_clock for one in server.proposed)
        assert len({(one.job_id, one.launch_seconds) for one in server.proposed}) == 3

    run(server, scenario)


def test_an_unknown_outcome_and_a_refusal_are_not_tried_again() -> None:
    server = FakeServer("tick", spec="0 0 0 1 1 * 2099")
    server.troubles = [OutcomeUnknown()]

    async def scenario(_: PeriodicLaunches) -> None:
        server.began -= 100 * 365 * 86_400 * 1_000_000_000
        server.leadership(True)
        await until(lambda: len(server.proposed) == 1)
        await asyncio.sleep(1.2)
        assert len(server.proposed) == 1, "the next leader knows whether it is in the log"

    run(server, scenario)


def test_many_jobs_at_once_are_launched_a_bounded_number_at_a_time() -> None:
    count = 3 * INFLIGHT_MAX
    server = FakeServer(*(f"job-{number:03d}" for number in range(count)), spec="0 0 0 1 1 * 2099")

    async def scenario(_: PeriodicLaunches) -> None:
        server.hold = asyncio.Event()
        server.began -= 100 * 365 * 86_400 * 1_000_000_000
        server.leadership(True)
        await until(lambda: len(server.proposed) == INFLIGHT_MAX)
        await asyncio.sleep(0.1)
        assert len(server.proposed) == INFLIGHT_MAX
        server.hold.set()
        await until(lambda: len(server.children()) == count)
        assert server.under_way_max == INFLIGHT_MAX and len(server.proposed) == count

    run(server, scenario)


def test_every_second_by_the_clock_and_never_after_the_leadership() -> None:
    server = FakeServer("tick")

    async def scenario(_: PeriodicLaunches) -> None:
        server.leadership(True)
        await until(lambda: len(server.children()) == 1)
        server.leadership(False)
        await asyncio.sleep(1.2)
        times = [int(one.rpartition("-")[2]) for one in server.children()]
        assert times == [START // 10**9 + 1]

    run(server, scenario)


def test_a_job_that_is_registered_later_is_launched_too() -> None:
    server = FakeServer()

    async def scenario(_: PeriodicLaunches) -> None:
        server.leadership(True)
        job = Job(id="new", name="new", type="batch", periodic=Periodic(specs=("* * * * * * *",)))
        server.apply(RegisterJob(now_ns=server.now_ns(), job=job))
        await until(lambda: len(server.children()) == 1)

    run(server, scenario)
