"""The report of an experiment: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import heapq
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yurt.server.experiments.figures import TIMELINE_MAX, NoPlots, draw
from yurt.server.experiments.records import EXPERIMENT, HISTORY, REPORT
from yurt.server.experiments.verdict import judge, told
from yurt.testing import Event, read_history

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#1f2937}
h1{margin-bottom:.2em}h2{margin:1.4em 0 .3em}table{border-collapse:collapse;margin:.5em 0}
td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}th{font-weight:600;border-bottom:1px solid #ccc}
.word{display:inline-block;padding:.1em .6em;border-radius:.3em;color:#fff;background:#6b7280}
.clean{background:#2f7d4f}.violated{background:#b91c1c}.undecided{background:#d97706}
img{max-width:100%}pre{white-space:pre-wrap;background:#f3f4f6;padding:.6em}small{color:#6b7280}
"""


def report(directory: Path) -> dict[str, Any]:
    """Judge the files of an experiment, write `verdict.json` and `report.html`; the verdict."""
    verdict, measures, faults = judge(directory)
    experiment = json.loads((directory / EXPERIMENT).read_text())
    code = experiment["commit"] or experiment["version"]
    label = f"{experiment['scenario']}, seed {experiment['seed']}, {code}, {experiment['machine']}"
    try:
        pictures = draw(measures, faults, label, _suspicious(directory, verdict))
        remark = ""
    except NoPlots as error:
        pictures, remark = [], str(error)
    text = _page(experiment, verdict, pictures, remark)
    (directory / REPORT).write_text(text)
    return verdict


def _suspicious(directory: Path, verdict: dict[str, Any]) -> Sequence[Event]:
    """The operations of the first job with a violation that are nearest to it."""
    first = next((one for one in verdict["violations"] if one["job"]), None)
    if first is None:
        return ()
    of_job = (one for one in read_history(directory / HISTORY) if one.job == first["job"])
    nearest = heapq.nsmallest(TIMELINE_MAX, of_job, key=lambda one: (abs(one.ended - first["at"]), one.began))
    return sorted(nearest, key=lambda one: one.began)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cells(row: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(one))}</{tag}>" for one in row) + "</tr>"

    return f"<table>{cells(header, 'th')}{''.join(cells(row, 'td') for row in rows)}</table>"


def _page(experiment: dict[str, Any], verdict: dict[str, Any], pictures: list[tuple[str, bytes]], remark: str) -> str:
    word, name = verdict["verdict"], html.escape(experiment["scenario"])
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}: {word}</title><style>{STYLE}</style>",
        f"<h1>{name} <span class='word {html.escape(word)}'>{html.escape(word)}</span></h1>",
        f"<p>{html.escape(experiment['text'])}: {html.escape(verdict['meaning'])}.</p>",
        f"<pre>{html.escape(told(verdict))}</pre>",
        f"<p><small>{html.escape(json.dumps(experiment))}</small></p>",
    ]
    if verdict["violations"]:
        rows = [(one["kind"], one["job"], f"{one['at']:.3f}", one["text"]) for one in verdict["violations"]]
        parts += ["<h2>Violations</h2>", _table(("what", "job", "at, s", ""), rows)]
    if remark:
        parts.append(f"<p><small>{html.escape(remark)}</small></p>")
    for title, picture in pictures:
        data = base64.b64encode(picture).decode()
        parts.append(
            f"<h2>{html.escape(title)}</h2><img alt='{html.escape(title)}' src='data:image/png;base64,{data}'>"
        )
    parts += ["<h2>Operations</h2>", _operations(verdict), "<h2>Faults</h2>", _faults(verdict), "</html>\n"]
    return "\n".join(parts)


def _operations(verdict: dict[str, Any]) -> str:
    results = ("ok", "conflict", "unknown", "fail")
    rows = []
    for kind, counts in verdict["counts"].items():
        latency = verdict["latency"].get(kind, {})
        times = [f"{1000 * latency[name]:.1f}" if name in latency else "" for name in ("p50", "p95", "p99")]
        rows.append((kind, *(counts.get(result, 0) for result in results), *times))
    return _table(("operation", *results, "p50 ms", "p95 ms", "p99 ms"), rows)


def _faults(verdict: dict[str, Any]) -> str:
    rows = [
        (f"{one['start']:.2f}", f"{one['end']:.2f}", one["fault"], ", ".join(one["servers"]),
         "never" if one["recovered_after"] is None else f"{one['recovered_after']:.2f}")
        for one in verdict["faults"]
    ]  # fmt: skip
    gaps = [f"{start:.1f} to {end:.1f} s" for start, end in verdict["unavailable"]]
    text = "Without answered writes: " + (", ".join(gaps) or "never for 1 s") + "."
    return _table(("from, s", "to, s", "fault", "servers", "writes went on after, s"), rows) + f"<p>{text}</p>"
