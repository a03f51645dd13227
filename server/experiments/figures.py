"""The plots of a report, as PNG files in memory; matplotlib, of the extra `experiments`, is loaded when needed."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from yurt.server.experiments.measures import SLOT_SECONDS, SPANS, Measures
from yurt.server.experiments.records import Faults
from yurt.testing import Event

COLOURS = {"ok": "#2f7d4f", "conflict": "#2b6cb0", "unknown": "#d97706", "fail": "#b91c1c"}
FAULT_COLOUR = "#7c3aed"
TAB = ("#2b6cb0", "#d97706", "#2f7d4f", "#b91c1c", "#7c3aed", "#0f766e", "#be185d")
WIDTH, HEIGHT, DPI = 10.0, 2.9, 110
TIMELINE_MAX = 120  # operations of a suspicious job around what went wrong


class NoPlots(Exception):
    """matplotlib is not installed; the text says how to get it."""


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise NoPlots("no plots: pip install 'yurt[experiments]', then `yurt experiment report` again") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw(measures: Measures, faults: Faults, label: str, suspicious: Sequence[Event]) -> list[tuple[str, bytes]]:
    """Titles and pictures; `label` (seed, commit, machine) stands in each. Raises `NoPlots`."""
    pyplot = _pyplot()
    end = max([measures.end, *(one.end for one in faults.windows)], default=1.0) or 1.0
    wanted: list[tuple[str, Callable[[Any], None], float]] = [
        ("Latency of each operation", lambda axes: _points(axes, measures), HEIGHT),
        ("Latency over time", lambda axes: _quantiles(axes, measures), HEIGHT),
        ("Operations a second", lambda axes: _rate(axes, measures), HEIGHT),
        ("Availability: writes answered", lambda axes: _availability(axes, measures, end), 1.1),
        ("Leadership, as the servers say", lambda axes: _leadership(axes, faults, end), 1.3),
    ]
    pictures = []
    for title, plot, height in wanted:
        figure, axes = pyplot.subplots(figsize=(WIDTH, height), dpi=DPI)
        plot(axes)
        _shade(axes, faults, named=height == HEIGHT)
        axes.set_xlim(0, end)
        pictures.append((title, _png(pyplot, figure, label)))
    if suspicious:
        pictures.append((f"Timeline of {suspicious[0].job}", _timeline(pyplot, suspicious, label)))
    return pictures


def _png(pyplot: Any, figure: Any, label: str) -> bytes:
    figure.text(0.005, 0.01, "seconds since the beginning", ha="left", va="bottom", fontsize=7)
    figure.text(0.995, 0.01, label, ha="right", va="bottom", fontsize=6, color="#666666")
    held = io.BytesIO()
    height = figure.get_size_inches()[1]
    figure.subplots_adjust(left=0.075, right=0.995, top=1 - 0.06 / height, bottom=0.42 / height)
    figure.savefig(held, format="png", metadata={"Software": None})
    pyplot.close(figure)
    return held.getvalue()


def _shade(axes: Any, faults: Faults, *, named: bool) -> None:
    names = set()
    for window in faults.windows:
        label = None if window.fault in names else window.fault
        names.add(window.fault)
        axes.axvspan(
            window.start, max(window.end, window.start + 0.01), color=FAULT_COLOUR, alpha=0.12, lw=0, label=label
        )
    if named and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", fontsize=7, framealpha=0.8, markerscale=3)


def _points(axes: Any, measures: Measures) -> None:
    for result, sample in sorted(measures.samples.items()):
        part = "" if sample.seen == len(sample.points) else f", {len(sample.points):,} of {sample.seen:,}"
        times, latencies = [at for at, _ in sample.points], [1000 * seconds for _, seconds in sample.points]
        axes.scatter(times, latencies, s=2, lw=0, color=COLOURS.get(result, "#666666"), label=result + part)
    axes.set_yscale("log")
    axes.set_ylabel("ms")


def _quantiles(axes: Any, measures: Measures) -> None:
    shares = (0.5, 0.95, 0.99)
    moments, lines = measures.over_time(*shares)
    for share, line in zip(shares, lines, strict=True):
        axes.plot(moments, [1000 * seconds for seconds in line], lw=1, marker=".", ms=2, label=f"p{share * 100:g}")
    axes.set_yscale("log")
    axes.set_ylabel("ms")


def _rate(axes: Any, measures: Measures) -> None:
    width = max(1, int(measures.end / SLOT_SECONDS / SPANS))
    for result, slots in sorted(measures.slots.items()):
        firsts = range(0, int(measures.end / SLOT_SECONDS) + 1, width)
        rates = [sum(slots[slot] for slot in range(first, first + width)) / (width * SLOT_SECONDS) for first in firsts]
        moments = [(first + width / 2) * SLOT_SECONDS for first in firsts]
        axes.plot(moments, rates, lw=1, color=COLOURS.get(result, "#666666"), label=result)
    axes.set_ylabel("1/s")


def _availability(axes: Any, measures: Measures, end: float) -> None:
    axes.broken_barh([(0, end)], (0, 1), color="#e5e7eb", lw=0)
    spans = [(slot * SLOT_SECONDS, SLOT_SECONDS) for slot in sorted(measures.answered)]
    axes.broken_barh(spans, (0, 1), color=COLOURS["ok"], lw=0)
    for start, until in measures.unavailable():
        axes.text((start + until) / 2, 0.5, f"{until - start:.1f} s", ha="center", va="center", fontsize=7)
    axes.set_yticks([])


def _leadership(axes: Any, faults: Faults, end: float) -> None:
    names = sorted({name for _, name in faults.leaders if name})
    edges = [*faults.leaders, (end, "")]
    for (start, name), (until, _) in zip(edges, edges[1:], strict=False):  # noqa: RUF007 (pairs of pairs)
        if name:
            place = names.index(name)
            axes.broken_barh([(start, until - start)], (place - 0.4, 0.8), color=TAB[place % len(TAB)], lw=0)
    axes.set_yticks(range(len(names)), names, fontsize=7)


def _timeline(pyplot: Any, events: Sequence[Event], label: str) -> bytes:
    """Each operation a bar, in the row of its client; what it wrote, found or read in it."""
    clients = sorted({one.client for one in events})
    figure, axes = pyplot.subplots(figsize=(WIDTH, 1.0 + 0.35 * len(clients)), dpi=DPI)
    first, last = min(one.began for one in events), max(one.ended for one in events)
    for one in events:
        row, seconds = clients.index(one.client), max(one.ended - one.began, (last - first) / 400)
        axes.broken_barh([(one.began, seconds)], (row - 0.4, 0.8), color=COLOURS.get(one.result, "#666666"), alpha=0.55)
        axes.text(one.began, row, _words(one), fontsize=5, va="center", rotation=20, clip_on=True)
    axes.set_yticks(range(len(clients)), [f"client {one}" for one in clients], fontsize=7)
    axes.set_xlim(first, last)
    return _png(pyplot, figure, label)


def _words(event: Event) -> str:
    if event.kind == "cas":
        return f"{event.expected}→{event.value}"
    return f"{event.kind[0]} {event.value}" if len(str(event.value)) < 20 else event.kind
