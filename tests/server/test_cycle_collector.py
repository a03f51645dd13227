"""The collector of a server: short collections, and what stays frozen."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from yurt.server.cycle_collector import OLD_GROWTH, OLD_OBJECTS, YOUNG_OBJECTS, CycleCollector
from yurt.server.metrics import Metrics


@pytest.fixture
def soon() -> list[Callable[[], None]]:
    """What the collector wants to have called in the loop."""
    return []


@pytest.fixture
def collector(soon: list[Callable[[], None]]) -> Iterator[CycleCollector]:
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what the tests themselves hold
    made = CycleCollector(Metrics())
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


def test_no_collection_looks_at_more_than_some_ten_thousand_objects_however_many_there_are(
    collector: CycleCollector, soon: list[Callable[[], None]]
) -> None:
    looked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looked.append(sum(len(gc.get_objects(generation)) for generation in range(info["generation"] + 1)))

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
    assert max(looked) < 2 * (OLD_OBJECTS + OLD_GROWTH) + 5 * YOUNG_OBJECTS
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
