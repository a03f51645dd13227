"""Metrics: counters, gauges, samples and histograms, as JSON and in Prometheus' text form (spec cluster §2).

A metric is a name and labels of bounded sets of values (routes, never paths). One thread adds to a metric, any reads.
"""

from __future__ import annotations

import math
import re
import resource
import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_NAME = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
INTERVAL_SECONDS = 10.0
BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]


class _Sample:
    """Count, sum, sum of squares, smallest and largest of an interval; count and sum also of all time."""

    __slots__ = ("all_count", "all_sum", "count", "high", "low", "squares", "sum")

    def __init__(self) -> None:
        self.all_count, self.all_sum = 0, 0.0
        self.clear()

    def clear(self) -> None:
        self.count, self.sum, self.squares, self.low, self.high = 0, 0.0, 0.0, math.inf, -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        self.squares += value * value
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.all_count += 1
        self.all_sum += value

    def shown(self, key: Key) -> dict[str, Any]:
        mean = self.sum / self.count if self.count else 0.0
        deviation = math.sqrt(max(0.0, self.squares / self.count - mean * mean)) if self.count else 0.0
        return {
            "Name": key[0], "Labels": dict(key[1]), "Count": self.count, "Sum": self.sum, "Mean": mean,
            "Stddev": deviation, "Min": self.low if self.count else 0.0, "Max": self.high if self.count else 0.0,
            "Rate": self.sum / INTERVAL_SECONDS,
        }  # fmt: skip


class _Histogram(_Sample):
    """A sample that also counts by bounds."""

    __slots__ = ("buckets",)

    def __init__(self) -> None:
        super().__init__()
        self.buckets = [0] * (len(BOUNDS_SECONDS) + 1)

    def add(self, value: float) -> None:
        super().add(value)
        self.buckets[bisect_left(BOUNDS_SECONDS, value)] += 1


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._counters: dict[Key, _Sample] = {}
        self._samples: dict[Key, _Sample] = {}
        self._histograms: dict[Key, _Histogram] = {}
        self._gauges: dict[Key, Callable[[], float]] = {}
        self._groups: dict[str, Callable[[], dict[str, dict[str, float]]]] = {}
        self._interval = 0.0

    def count(self, name: str, by: float = 1, labels: Labels = ()) -> None:
        """Add to a counter."""
        counter = self._counters.get((name, labels))
        if counter is None:
            counter = self._counters[name, labels] = _Sample()
        counter.add(by)

    def sample(self, name: str, value: float, labels: Labels = ()) -> None:
        """Note a duration in milliseconds, or another measured value."""
        sample = self._samples.get((name, labels))
        if sample is None:
            sample = self._samples[name, labels] = _Sample()
        sample.add(value)

    def observe(self, name: str, seconds: float, labels: Labels = ()) -> None:
        """Note a duration in seconds in a histogram."""
        histogram = self._histograms.get((name, labels))
        if histogram is None:
            histogram = self._histograms[name, labels] = _Histogram()
        histogram.add(seconds)

    def gauge(self, name: str, read: Callable[[], float], labels: Labels = ()) -> None:
        """A value that is read when somebody asks."""
        self._gauges[name, labels] = read

    def group(self, name: str, read: Callable[[], dict[str, dict[str, float]]]) -> None:
        """Gauges `name.KEY` labelled by `peer`, read as {peer: {KEY: value}} when somebody asks."""
        self._groups[name] = read

    def _read_gauges(self) -> list[tuple[Key, float]]:
        values = [(key, read()) for key, read in self._gauges.items()]
        for group, read in self._groups.items():
            for peer, found in read().items():
                values += [((f"{group}.{name}", (("peer", peer),)), value) for name, value in found.items()]
        return sorted(values)

    def shown(self) -> dict[str, Any]:
        """The JSON form; counters and samples are of the interval that began with the last answer 10 s ago or more."""
        samples: dict[Key, _Sample] = {**self._samples, **self._histograms}
        body = {
            "Counters": [one.shown(key) for key, one in sorted(self._counters.items())],
            "Gauges": [
                {"Name": name, "Labels": dict(labels), "Value": value} for (name, labels), value in self._read_gauges()
            ],
            "Points": [],
            "Samples": [samples[key].shown(key) for key in sorted(samples)],
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
        }
        if time.monotonic() - self._interval > INTERVAL_SECONDS:
            self._interval = time.monotonic()
            for one in (*self._counters.values(), *samples.values()):
                one.clear()
        return body

    def prometheus(self) -> str:
        """The text exposition format 0.0.4."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        text = _Text()
        for key, counter in sorted(self._counters.items()):
            text.add(key, "counter", [("", (), counter.all_sum)])
        for key, value in self._read_gauges():
            text.add(key, "gauge", [("", (), value)])
        for key, one in sorted(self._samples.items()):
            text.add(key, "summary", [("_sum", (), one.all_sum), ("_count", (), one.all_count)])
        for key, histogram in sorted(self._histograms.items()):
            text.add(key, "histogram", _buckets(histogram))
        text.add(("process_cpu_seconds_total", ()), "counter", [("", (), usage.ru_utime + usage.ru_stime)])
        text.add(("process_resident_memory_max_bytes", ()), "gauge", [("", (), usage.ru_maxrss * 1024)])
        return text.whole()


def _buckets(histogram: _Histogram) -> list[tuple[str, Labels, float]]:
    lines: list[tuple[str, Labels, float]] = []
    total = 0
    for bound, count in zip((*map(str, BOUNDS_SECONDS), "+Inf"), histogram.buckets, strict=True):
        total += count
        lines.append(("_bucket", (("le", bound),), total))
    return [*lines, ("_sum", (), histogram.all_sum), ("_count", (), total)]


class _Text:
    """Lines of the exposition format; a metric's type stands once, before its first line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._typed = ""

    def add(self, key: Key, kind: str, values: list[tuple[str, Labels, float]]) -> None:
        """The values of one metric with their suffixes and labels of their own."""
        name, labels = _NAME.sub("_", key[0]), key[1]
        if name != self._typed:
            self._typed = name
            self._lines.append(f"# TYPE {name} {kind}")
        for suffix, own, value in values:
            pairs = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in (*labels, *own))
            self._lines.append(f"{name}{suffix}{{{pairs}}} {value}" if pairs else f"{name}{suffix} {value}")

    def whole(self) -> str:
        """All of it."""
        return "\n".join(self._lines) + "\n"
