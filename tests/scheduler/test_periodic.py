"""Periodic launches by a clock that is handed in: neither twice nor lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yurt.fsm import commands
from yurt.fsm.commands import DeregisterJob, LaunchPeriodicJob, RegisterJob
from yurt.fsm.machine import Applied, Machine, Refused
from yurt.fsm.store.schema import EVALUATIONS, JOBS
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import COMPLETE
from yurt.fsm.structs.job import Job, Periodic
from yurt.scheduler.duties.periodic import PERIODIC_COST, SECOND_NS, SLICE, Launch, PeriodicDispatcher
from yurt.server.platform.tzdb import zone

MINUTE = 60 * SECOND_NS
HOUR = 60 * MINUTE


class World:
    """A state machine, a dispatcher and a clock."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.dispatcher = PeriodicDispatcher(zone)
        self.now = 0
        self.number = 0

    def apply(self, command: commands.Command) -> None:
        assert isinstance(self.machine.apply(commands.encode(command)), Applied)

    def register(self, job_id: str, *specs: str, **periodic: Any) -> Job:
        block = Periodic(specs=specs or ("*/10 * * * *",), **periodic)
        job = Job(id=job_id, name=job_id, type="batch", periodic=block)
        self.apply(RegisterJob(now_ns=self.now, job=job))
        stored = self.machine.view().get(JOBS, ("default", job_id))
        assert stored is not None
        self.dispatcher.track(stored, self.now)
        return stored

    def until(self, time: int) -> list[int]:
        """Go on to a time; the launch times that were due, in minutes. Each is carried out."""
        found = []
        while (deadline := self.dispatcher.next_deadline()) is not None and deadline <= time:
            self.now = max(self.now, deadline)
            found += self.launch(self.dispatcher.take(self.machine.view(), self.now))
        self.now = time
        return found

    def launch(self, launches: list[Launch]) -> list[int]:
        for one in launches:
            self.number += 1
            self.apply(
                LaunchPeriodicJob(
                    now_ns=self.now, namespace=one.namespace, job_id=one.job_id, launch_seconds=one.seconds,
                    by_clock=True, eval_id=f"eval-{self.number}",
                )
            )  # fmt: skip
        return [one.seconds // 60 for one in launches]

    def new_leader(self) -> list[int]:
        """The same state, another leader."""
        self.dispatcher = PeriodicDispatcher(zone)
        self.dispatcher.begin(self.machine.view())
        assert self.dispatcher.next_deadline() in (0, None)
        return self.launch(self.dispatcher.take(self.machine.view(), self.now))

    def children(self) -> list[str]:
        return [job.id for job in self.machine.view().scan(JOBS) if job.parent_id]


def test_launches_by_the_clock_are_named_by_their_time() -> None:
    world = World()
    world.register("tick")
    assert world.until(35 * MINUTE) == [10, 20, 30]
    assert world.children() == ["tick/periodic-1200", "tick/periodic-1800", "tick/periodic-600"]


def test_several_jobs_and_specs_keep_their_order() -> None:
    world = World()
    world.register("a", "*/20 * * * *", "7 * * * *")
    world.register("b", "*/15 * * * *")
    assert world.until(40 * MINUTE) == [7, 15, 20, 30, 40]


@pytest.mark.parametrize("missed", [0, 1, 5])
def test_a_new_leader_makes_up_one_launch_and_no_more(missed: int) -> None:
    world = World()
    world.register("tick")
    world.until(11 * MINUTE)
    world.now += missed * 10 * MINUTE
    made_up = world.new_leader()
    assert made_up == ([world.now // MINUTE] if missed else [])
    assert world.new_leader() == []
    following = (world.now // MINUTE // 10 + 1) * 10
    assert world.until(following * MINUTE) == [following]


def test_a_change_of_leader_between_launches_neither_repeats_nor_loses_one() -> None:
    world = World()
    world.register("tick")
    found = []
    for minute in range(1, 61):
        found += world.until(minute * MINUTE)
        found += world.new_leader()
    assert found == [10, 20, 30, 40, 50, 60]


def test_a_stalled_leader_launches_once() -> None:
    world = World()
    world.register("tick")
    world.now = 45 * MINUTE
    launches = world.dispatcher.take(world.machine.view(), world.now)
    assert [one.seconds for one in launches] == [600]
    assert world.dispatcher.next_deadline() == 50 * MINUTE


def test_overlaps_are_skipped_and_not_made_up() -> None:
    world = World()
    world.register("one", prohibit_overlap=True)
    assert world.until(20 * MINUTE) == [10]
    world.now += 1
    assert world.new_leader() == []
    view = world.machine.view()
    done = [replace(one, status=COMPLETE) for one in view.scan(EVALUATIONS)]
    world.apply(commands.UpdateEvaluations(evaluations=tuple(done)))
    assert world.until(30 * MINUTE) == [30]


def test_stopped_disabled_and_purged_jobs_are_not_launched() -> None:
    world = World()
    world.register("disabled", enabled=False)
    stored = world.register("stopped")
    world.register("purged")
    world.apply(DeregisterJob(namespace="default", job_id="stopped"))
    world.dispatcher.track(replace(stored, stop=True), world.now)
    world.apply(DeregisterJob(namespace="default", job_id="purged", purge=True))
    assert world.until(HOUR) == []
    assert world.new_leader() == []


def test_a_new_spec_counts_from_now() -> None:
    world = World()
    world.register("tick")
    world.until(11 * MINUTE)
    world.register("tick", "*/7 * * * *")
    assert world.until(25 * MINUTE) == [14, 21]


def test_a_clock_change_leaves_out_what_is_not_there_and_repeats_what_comes_twice() -> None:
    world = World()
    world.now = int(1_772_884_800 * SECOND_NS)  # 2026-03-07 12:00 UTC
    world.register("spring", "30 2 * * *", time_zone="America/New_York")
    found = world.until(world.now + 4 * 24 * HOUR)
    assert [minute * 60 for minute in found] == [1773037800, 1773124200, 1773210600]  # 9, 10, 11 March


def test_a_spec_that_never_comes_is_never_due() -> None:
    world = World()
    world.register("never", "0 0 30 2 *")
    assert world.dispatcher.next_deadline() is None


def test_a_launch_that_was_not_written_is_due_again_by_the_same_name() -> None:
    world = World()
    world.register("tick")
    (launch,) = world.dispatcher.take(world.machine.view(), 10 * MINUTE)
    world.dispatcher.again(launch, 10 * MINUTE)
    assert world.dispatcher.next_deadline() == 10 * MINUTE + SECOND_NS
    assert world.dispatcher.take(world.machine.view(), 10 * MINUTE) == []
    for _ in range(2000):  # the disk stays full for hours
        world.now = world.dispatcher.next_deadline() or 0
        waiting = world.dispatcher.take(world.machine.view(), world.now)
        assert waiting == [launch], "later ones are skipped, not heaped up"
        world.dispatcher.again(launch, world.now)
    world.now = world.dispatcher.next_deadline() or 0
    assert world.launch(world.dispatcher.take(world.machine.view(), world.now)) == [10]
    following = (world.now // MINUTE // 10 + 1) * 10
    assert world.until(following * MINUTE) == [following]


def test_the_log_refuses_a_launch_that_is_there_and_one_that_would_overlap() -> None:
    world = World()
    world.register("one", prohibit_overlap=True)
    world.until(10 * MINUTE)
    for seconds in (600, 1200):
        command = LaunchPeriodicJob(namespace="default", job_id="one", launch_seconds=seconds, by_clock=True)
        assert isinstance(world.machine.apply(commands.encode(command)), Refused)
    world.apply(LaunchPeriodicJob(namespace="default", job_id="one", launch_seconds=1200))
    assert world.children() == ["one/periodic-1200", "one/periodic-600"], "by hand it overlaps"


def test_a_new_leader_makes_up_nothing_that_an_older_spec_did_not_name() -> None:
    world = World()
    world.register("tick", "0 0 1 1 *")
    world.now = 12 * 60 * MINUTE
    world.register("tick", "30 * * * *")
    world.now += 10 * MINUTE
    assert world.new_leader() == []
    assert world.until(13 * 60 * MINUTE) == [12 * 60 + 30]
    world.register("tick", "30 * * * *", enabled=False)
    world.now += 5 * 60 * MINUTE
    world.register("tick", "30 * * * *")
    world.now += 10 * MINUTE
    assert world.new_leader() == []


def test_a_new_leader_whose_clock_is_behind_does_not_repeat_a_launch() -> None:
    world = World()
    world.register("tick")
    world.until(20 * MINUTE)
    world.now = 19 * MINUTE
    assert world.new_leader() == []
    launches = world.dispatcher.take(world.machine.view(), 20 * MINUTE)
    assert [one.seconds for one in launches] == [1200]
    command = LaunchPeriodicJob(namespace="default", job_id="tick", launch_seconds=1200, by_clock=True)
    assert isinstance(world.machine.apply(commands.encode(command)), Refused)
    assert world.until(30 * MINUTE) == [30]


def test_a_leader_that_begins_in_the_very_moment_of_a_launch_carries_it_out() -> None:
    world = World()
    world.register("tick")
    world.now = 10 * MINUTE
    assert world.new_leader() == [10]
    assert world.until(19 * MINUTE) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 900), st.booleans()), max_size=30))
def test_timers_neither_fire_twice_nor_are_lost(steps: list[tuple[int, bool]]) -> None:
    """However time passes and leaders change: each interval between two looks at the clock has its launch, once."""
    world = World()
    world.register("tick", "* * * * *")
    found = []
    for seconds, changes in steps:
        found += world.until(world.now + seconds * SECOND_NS)
        if changes:
            world.now += 1
            found += world.new_leader()
    assert found == list(range(1, world.now // MINUTE + 1))
    assert len(world.children()) == len(found)


def test_many_jobs_are_looked_at_in_slices_and_none_is_forgotten() -> None:
    world = World()
    at_once = SLICE // (PERIODIC_COST + 1) + 1
    count = 2 * at_once + 10
    for number in range(count):
        world.register(f"job-{number:04d}")
    world.dispatcher = PeriodicDispatcher(zone)
    world.now = 15 * MINUTE
    world.dispatcher.begin(world.machine.view())
    sizes = []
    while world.dispatcher.next_deadline() == 0:
        sizes.append(len(world.launch(world.dispatcher.take(world.machine.view(), world.now))))
    assert sizes == [at_once, at_once, 10]
    sizes, world.now = [], 20 * MINUTE
    while (world.dispatcher.next_deadline() or 0) <= world.now:
        sizes.append(len(world.launch(world.dispatcher.take(world.machine.view(), world.now))))
    assert sizes == [SLICE // PERIODIC_COST] * (count * PERIODIC_COST // SLICE) + [count % (SLICE // PERIODIC_COST)]


def test_a_job_that_is_launched_before_it_was_looked_at_is_not_made_up() -> None:
    world = World()
    world.register("tick")
    world.now = 15 * MINUTE
    world.dispatcher = PeriodicDispatcher(zone)
    world.dispatcher.begin(world.machine.view())
    world.register("tick", "*/5 * * * *")
    assert world.until(19 * MINUTE) == [] and world.until(20 * MINUTE) == [20]
