"""The collector of a server: short collections, and what stays frozen."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from yurt.server.platform.cycle_collector import YOUNG_OBJECTS, CycleCollector
from yurt.server.telemetry.metrics import Metrics

SECONDS_EACH = 0.7e-6  # what a collection takes for an object
PAUSE_SECONDS_MAX = 0.02


class Work:
    """The clock of collections: it goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def work() -> Work:
    """The processor time of collections."""
    return Work()


@pytest.fixture
def soon() -> list[Callable[[], None]]:
    """What the collector wants to have called in the loop."""
    return []


@pytest.fixture
def collector(soon: list[Callable[[], None]], work: Work) -> Iterator[CycleCollector]:
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what the tests themselves hold
    made = CycleCollector(Metrics(), clock=work)
    made.start(soon.append)
    try:
        yield made
    finally:
        made.stop()
        gc.unfreeze()
        gc.set_threshold(*thresholds)


class Knot:
    def __init__(self) -> None:
        self.itself = self


def test_what_was_loaded_is_frozen_unseen_and_cycles_of_before_and_after_are_collected(
    collector: CycleCollector,
) -> None:
    with collector.loading():
        assert not gc.isenabled()
        loaded = [[number] for number in range(YOUNG_OBJECTS * 3)]
    assert gc.isenabled() and gc.get_freeze_count() > len(loaded)
    assert len(gc.get_objects()) < 1000
    knot = Knot()
    gone = weakref.ref(knot)
    del knot
    collector.settle()
    assert gone() is None


def test_two_loads_at_once_end_when_the_last_one_ends(collector: CycleCollector) -> None:
    with collector.loading():
        with collector.loading():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_no_collection_takes_more_than_20_ms_however_many_objects_there_are(
    collector: CycleCollector, soon: list[Callable[[], None]], work: Work
) -> None:
    looked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looked.append(sum(len(gc.get_objects(generation)) for generation in range(info["generation"] + 1)))
            work.seconds += looked[-1] * SECONDS_EACH

    gc.callbacks.append(note)
    kept: list[Any] = []
    try:
        for number in range(200_000):
            kept.append([number])
            while soon:
                soon.pop()()
    finally:
        gc.callbacks.remove(note)
    assert len(kept) == 200_000 and len(looked) > 10
    assert max(looked) * SECONDS_EACH < PAUSE_SECONDS_MAX
    assert collector.longest > 0


def test_a_small_process_is_collected_as_a_whole(collector: CycleCollector) -> None:
    knots = [Knot() for _ in range(100)]
    gone = weakref.ref(knots[0])
    for _ in range(5):
        collector.settle()
    assert gone() is not None
    del knots
    collector.settle()
    assert gone() is None


def test_tuples_under_construction_in_other_threads_are_left_alone(collector: CycleCollector) -> None:
    kept = [[number] for number in range(5_000)]  # so that looking at them takes longer than a thread's turn
    errors: list[SystemError] = []
    is_over = threading.Event()

    def build() -> None:
        try:
            while not is_over.is_set():
                assert tuple(number for number in range(50))[-1] == 49
        except SystemError as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(300):
            collector.settle()
            if errors:
                break
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        for thread in threads:
            thread.join()
    assert len(kept) == 5_000 and errors == []
