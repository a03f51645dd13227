"""The verdict on an experiment's files: promises checked, measures taken."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yurt.server.experiments.measures import WRITES, Measures
from yurt.server.experiments.records import EXPERIMENT, FAULTS, HISTORY, VERDICT, Faults, read_faults, write_json
from yurt.testing import Verdict, Violation, Window, check, read_history

RECOVERY_SECONDS_MAX = 10.0  # promised, with a majority up and connected
VIOLATIONS_MAX = 100  # that are listed one by one
CLEAN, VIOLATED, UNDECIDED, EMPTY = "clean", "violated", "undecided", "nothing written"
MEANING = {
    CLEAN: "every answer is one that a single copy could have given, and everything promised was kept",
    VIOLATED: "something that is promised was broken",
    UNDECIDED: "nothing wrong was found, but the search for an order was given up for some jobs",
    EMPTY: "no write was acknowledged: there is nothing to judge",
}


def judge(directory: Path) -> tuple[dict[str, Any], Measures, Faults]:
    """Read the files of an experiment, write `verdict.json`; it, what was measured, and the faults."""
    experiment = json.loads((directory / EXPERIMENT).read_text())
    faults, measures = read_faults(directory / FAULTS), Measures()
    verdict = check(measures.through(read_history(directory / HISTORY)), windows=faults.windows)
    violations = [*verdict.violations, *_ended(faults), *_broken(experiment, measures), *_silent(measures)]
    recoveries = [(one, measures.recovery(one)) for one in faults.windows]
    violations += [
        Violation(
            "no-recovery", "", f"{one.fault} of {', '.join(one.servers)} ended at {one.end:.1f} s, and {took}", one.end
        )
        for one, seconds in recoveries
        if experiment["kind"] != "simulated"  # the simulator itself says whether its cluster went on
        and (took := _too_long(seconds, measures.end - one.end, measures))
        and not _goes_on(one, faults)
    ]
    found: dict[str, Any] = {
        "verdict": _word(verdict, violations, measures),
        "linearizable": verdict.is_linearizable,
        "operations": verdict.operations,
        "unknown": verdict.unknown,
        "counts": {kind: dict(counts) for kind, counts in sorted(measures.counts.items())},
        "violations": [asdict(one) for one in violations[:VIOLATIONS_MAX]],
        "violations_by_kind": dict(Counter(one.kind for one in violations)),
        "undecided": verdict.undecided,
        "unavailable": [list(one) for one in measures.unavailable()],
        "faults": [{**asdict(one), "recovered_after": seconds} for one, seconds in recoveries],
        "leaders": faults.leaders,
        "remarks": faults.remarks,
        "latency": {
            kind: {f"p{share * 100:g}": round(measures.quantile(kind, share), 5) for share in (0.5, 0.95, 0.99)}
            for kind in sorted(measures.bins)
        },
        "seconds": round(measures.end, 3),
    }
    found["meaning"] = MEANING[found["verdict"]]
    write_json(directory / VERDICT, found)
    return found, measures, faults


def _word(verdict: Verdict, violations: list[Violation], measures: Measures) -> str:
    if violations:
        return VIOLATED
    if not any(measures.counts[kind]["ok"] for kind in (*WRITES, "allocations")):
        return EMPTY
    return UNDECIDED if verdict.undecided else CLEAN


def _ended(faults: Faults) -> list[Violation]:
    return [
        Violation("server-ended", "", f"{name} ended though nothing was done to it", at) for at, name in faults.ended
    ]


def _broken(experiment: dict[str, Any], measures: Measures) -> list[Violation]:
    """Return the invariants that a simulation saw broken from within; it ended there."""
    return [Violation("invariant", "", text, measures.end) for text in experiment.get("broken", ())]


def _silent(measures: Measures) -> list[Violation]:
    """A cluster that answered no write any more, to the end."""
    start, end = next(reversed(measures.unavailable()), (0.0, 0.0))
    if end <= measures.last_answer or end - start <= RECOVERY_SECONDS_MAX:
        return []
    return [Violation("no-recovery", "", f"no write was answered from {start:.1f} s on, to the end", end)]


def _too_long(seconds: float | None, left: float, measures: Measures) -> str:
    """Why a recovery is none; nothing is said of faults after whose end little was asked for."""
    if not any(measures.counts[kind] for kind in WRITES):
        return ""
    if seconds is None:
        return "nothing was written any more" if left > RECOVERY_SECONDS_MAX else ""
    return f"the first write took {seconds:.1f} s" if seconds > RECOVERY_SECONDS_MAX else ""


def _goes_on(window: Window, faults: Faults) -> bool:
    """Whether something else is wrong before a recovery could have come."""
    return any(
        other is not window and other.start < window.end + RECOVERY_SECONDS_MAX and other.end > window.end
        for other in faults.windows
    )


def told(verdict: dict[str, Any]) -> str:
    """The verdict in a few lines."""
    writes = sum(verdict["counts"].get(kind, {}).get("ok", 0) for kind in WRITES)
    lines = [
        f"{verdict['verdict']}: {verdict['operations']} operations in {verdict['seconds']:.0f} s, {writes} writes "
        f"acknowledged, {verdict['unknown']} answers lost, {len(verdict['faults'])} faults"
    ]
    recovered = [one["recovered_after"] for one in verdict["faults"] if one["recovered_after"] is not None]
    gaps = [end - start for start, end in verdict["unavailable"]]
    if recovered:
        lines.append(f"  writes went on {max(recovered):.2f} s after the end of a fault at the latest")
    lines.append(
        f"  without answered writes for {sum(gaps):.1f} s in {len(gaps)} spans"
        if gaps
        else "  no gap of 1 s or more between answered writes"
    )
    lines += [f"  {one['kind']} {one['job']} at {one['at']:.3f} s: {one['text']}" for one in verdict["violations"][:20]]
    if (more := sum(verdict["violations_by_kind"].values()) - 20) > 0:
        lines.append(f"  and {more} more")
    lines += [f"  undecided: {job}" for job in verdict["undecided"]]
    lines += [f"  at {at:.1f} s: {text}" for at, text in verdict["remarks"]]
    return "\n".join(lines)
