"""Metrics: counters, gauges and samples, as JSON and in Prometheus' text form (spec cluster §2)."""

from __future__ import annotations

import math
import re
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_NAME = re.compile(r"[^a-zA-Z0-9_]")
INTERVAL_SECONDS = 10.0


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

    def shown(self, name: str) -> dict[str, Any]:
        mean = self.sum / self.count if self.count else 0.0
        deviation = math.sqrt(max(0.0, self.squares / self.count - mean * mean)) if self.count else 0.0
        return {
            "Name": name, "Labels": {}, "Count": self.count, "Sum": self.sum, "Mean": mean, "Stddev": deviation,
            "Min": self.low if self.count else 0.0, "Max": self.high if self.count else 0.0,
            "Rate": self.sum / INTERVAL_SECONDS,
        }  # fmt: skip


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._counters: dict[str, _Sample] = {}
        self._samples: dict[str, _Sample] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._groups: dict[str, Callable[[], dict[str, dict[str, float]]]] = {}
        self._interval = 0.0

    def count(self, name: str, by: float = 1) -> None:
        """Add to a counter."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = _Sample()
        counter.add(by)

    def sample(self, name: str, value: float) -> None:
        """Note a duration in milliseconds, or another measured value."""
        sample = self._samples.get(name)
        if sample is None:
            sample = self._samples[name] = _Sample()
        sample.add(value)

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """A value that is read when somebody asks."""
        self._gauges[name] = read

    def group(self, name: str, read: Callable[[], dict[str, dict[str, float]]]) -> None:
        """Gauges `name.KEY` labelled by `peer`, read as {peer: {KEY: value}} when somebody asks."""
        self._groups[name] = read

    def _labelled(self) -> list[tuple[str, str, float]]:
        """Name, peer and value of all groups."""
        return [
            (f"{group}.{key}", peer, value)
            for group, read in sorted(self._groups.items())
            for peer, values in sorted(read().items())
            for key, value in values.items()
        ]

    def shown(self) -> dict[str, Any]:
        """The JSON form; counters and samples are of the interval that began with the last answer 10 s ago or more."""
        body = {
            "Counters": [one.shown(name) for name, one in sorted(self._counters.items())],
            "Gauges": [
                *({"Name": name, "Labels": {}, "Value": read()} for name, read in sorted(self._gauges.items())),
                *({"Name": name, "Labels": {"peer": peer}, "Value": value} for name, peer, value in self._labelled()),
            ],
            "Points": [],
            "Samples": [one.shown(name) for name, one in sorted(self._samples.items())],
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
        }
        if time.monotonic() - self._interval > INTERVAL_SECONDS:
            self._interval = time.monotonic()
            for one in (*self._counters.values(), *self._samples.values()):
                one.clear()
        return body

    def prometheus(self) -> str:
        """The text exposition format 0.0.4."""
        lines = []
        for name, one in sorted(self._counters.items()):
            lines += [f"# TYPE {_metric(name)} counter", f"{_metric(name)} {one.all_sum}"]
        for name, read in sorted(self._gauges.items()):
            lines += [f"# TYPE {_metric(name)} gauge", f"{_metric(name)} {read()}"]
        typed = ""
        for name, peer, value in sorted(self._labelled()):
            if name != typed:
                typed = name
                lines.append(f"# TYPE {_metric(name)} gauge")
            lines.append(f'{_metric(name)}{{peer="{peer}"}} {value}')
        for name, one in sorted(self._samples.items()):
            metric = _metric(name)
            lines += [f"# TYPE {metric} summary", f"{metric}_sum {one.all_sum}", f"{metric}_count {one.all_count}"]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        lines += [
            "# TYPE process_cpu_seconds_total counter",
            f"process_cpu_seconds_total {usage.ru_utime + usage.ru_stime}",
            "# TYPE process_resident_memory_max_bytes gauge",
            f"process_resident_memory_max_bytes {usage.ru_maxrss * 1024}",
        ]
        return "\n".join(lines) + "\n"


def _metric(name: str) -> str:
    return _NAME.sub("_", name)
