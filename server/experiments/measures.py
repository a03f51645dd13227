"""The measures of a history, gathered as it streams by: counts, latencies over time, gaps in acknowledged writes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from yurt.testing import Event, Window

WRITES = ("write", "cas", "delete", "dispatch")
POINTS_MAX = 20_000  # of each result that are drawn one by one; more are a sample
BINS_PER_DECADE = 20
FLOOR_SECONDS = 1e-5
SLOT_SECONDS = 0.1
UNAVAILABLE_SECONDS = 1.0  # without an answered write, though somebody waits for one
WAITING_SECONDS = 0.5  # a write that takes longer, or is not answered, was waited for
SPANS = 100  # of the whole time, for quantiles


@dataclass
class Sample:
    """Up to `POINTS_MAX` of all points, each with the same chance."""

    chance: Random
    seen: int = 0
    points: list[tuple[float, float]] = field(default_factory=list)

    def add(self, at: float, latency: float) -> None:
        """One more point."""
        self.seen += 1
        if len(self.points) < POINTS_MAX:
            self.points.append((at, latency))
        elif (place := self.chance.randrange(self.seen)) < POINTS_MAX:
            self.points[place] = (at, latency)


class Measures:
    """Feed all events, in any order, then ask. Memory does not grow with their number, only with the time."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)  # operation → result → how many
        self.servers: dict[str, Counter[str]] = defaultdict(Counter)
        self.bins: dict[str, Counter[int]] = defaultdict(Counter)  # operation → latency's bin
        self.slot_bins: dict[int, Counter[int]] = defaultdict(Counter)  # 0.1 s → latency's bin, of what was done
        self.slots: dict[str, Counter[int]] = defaultdict(Counter)  # result → 0.1 s → how many
        self.answered: Counter[int] = Counter()  # writes that were done or refused, by the 0.1 s in which they ended
        self.waiting: set[int] = set()  # the 0.1 s in which writes began that were not answered soon
        self.firsts: dict[int, float] = {}  # 0.1 s → the earliest end of an acknowledged write that began in it
        self.samples: dict[str, Sample] = {}
        self.end = 0.0

    def through(self, events: Iterable[Event]) -> Iterator[Event]:
        """Hand on what comes by."""
        for event in events:
            self.feed(event)
            yield event

    def feed(self, event: Event) -> None:
        """Count one operation."""
        seconds = event.ended - event.began
        slot = int(event.ended / SLOT_SECONDS)
        self.end = max(self.end, event.ended)
        self.counts[event.kind][event.result] += 1
        self.servers[event.server][event.result] += 1
        self.slots[event.result][slot] += 1
        if event.kind in ("watch", "converge"):
            return  # it waits on purpose
        sample = self.samples.setdefault(event.result, Sample(Random(1)))
        sample.add(event.ended, max(seconds, FLOOR_SECONDS))
        if event.result in ("ok", "conflict"):
            place = bin_of(seconds)
            self.bins[event.kind][place] += 1
            self.slot_bins[slot][place] += 1
        if event.kind in WRITES:
            began = int(event.began / SLOT_SECONDS)
            is_answered = event.result in ("ok", "conflict")
            if not is_answered or seconds > WAITING_SECONDS:
                self.waiting.add(began)
            if is_answered:
                self.answered[slot] += 1
            if event.result == "ok":
                self.firsts[began] = min(self.firsts.get(began, math.inf), event.ended)

    # --- answers

    @property
    def last_answer(self) -> float:
        """When the last write was answered."""
        return max(self.answered, default=0) * SLOT_SECONDS

    def quantile(self, kind: str, share: float) -> float:
        """Return a quantile of an operation's latencies, in seconds; 0 if there are none."""
        return quantile_of(self.bins[kind], share)

    def over_time(self, *shares: float) -> tuple[list[float], list[list[float]]]:
        """Moments, and for each share the quantile around them, NaN where nothing was answered."""
        width = max(1, int(self.end / SLOT_SECONDS / SPANS))
        moments, found = [], [[] for _ in shares]  # type: tuple[list[float], list[list[float]]]
        for first in range(0, int(self.end / SLOT_SECONDS) + 1, width):
            merged: Counter[int] = Counter()
            for slot in range(first, first + width):
                merged += self.slot_bins.get(slot, Counter())
            moments.append((first + width / 2) * SLOT_SECONDS)
            for share, line in zip(shares, found, strict=True):
                line.append(quantile_of(merged, share) if merged else math.nan)
        return moments, found

    def unavailable(self) -> list[tuple[float, float]]:
        """Spans without an answered write in which somebody waited for one, from 1 s on."""
        if not self.waiting:
            return []
        known = sorted(self.answered)
        edges = [min(self.waiting) - 1, *known, max(max(self.waiting), known[-1] if known else 0) + 1]
        gaps = []
        for before, after in pairwise(sorted(edges)):
            is_long = (after - before - 1) * SLOT_SECONDS >= UNAVAILABLE_SECONDS
            if is_long and any(before <= slot < after for slot in self.waiting):
                gaps.append((round((before + 1) * SLOT_SECONDS, 1), round(after * SLOT_SECONDS, 1)))
        return gaps

    def recovery(self, window: Window) -> float | None:
        """Seconds from a fault's end to the first acknowledged write that began after it; None if there is none."""
        first = int(window.end / SLOT_SECONDS) + 1
        ends = [self.firsts[slot] for slot in self.firsts if slot >= first]
        return max(0.0, round(min(ends) - window.end, 3)) if ends else None


def bin_of(seconds: float) -> int:
    """The latency's place on a scale of powers of ten."""
    return round(math.log10(max(seconds, FLOOR_SECONDS)) * BINS_PER_DECADE)


def quantile_of(bins: Counter[int], share: float) -> float:
    """The latency below which a share of them lies."""
    wanted, seen = share * sum(bins.values()), 0
    for place in sorted(bins):
        seen += bins[place]
        if seen >= wanted:
            return float(10 ** (place / BINS_PER_DECADE))
    return 0.0
