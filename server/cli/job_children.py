"""The status of jobs that have children instead of allocations."""

from __future__ import annotations

import time
from typing import Any

from yurt.fsm.lang.cron import CronError, next_of
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.cli.client import Client
from yurt.server.cli.output import paint, pairs, span, table
from yurt.server.platform.tzdb import zone


def is_parent(job: dict[str, Any]) -> bool:
    """Whether the job itself is never placed."""
    return bool(job["Periodic"]) or (bool(job["ParameterizedJob"]) and not job["Dispatched"])


def next_launch(job: dict[str, Any], now: float) -> str:
    """When the job's next child is due and how long that is from `now` (Unix seconds); `none` if never."""
    block = job["Periodic"]
    place = zone(block["TimeZone"] or "")
    if not block["Enabled"] or job["Stop"] or job["ParameterizedJob"]:
        return "none (job stopped, parameterized or not enabled)"
    if place is None:
        return "none (unknown time zone)"
    try:
        due = next_of(block["Specs"] or [block["Spec"]], int(now * 1e9), place)
    except CronError as error:
        return f"none ({error})"
    return "none" if due is None else f"{to_rfc3339(due)} ({span(due / 1e9 - now)} from now)"


def parent_status(client: Client, job: dict[str, Any], summary: dict[str, Any]) -> str:
    """Return the status of a parent job: its rules, its next launch, its children."""
    sections = []
    if job["Periodic"]:
        specs = job["Periodic"]["Specs"] or [job["Periodic"]["Spec"]]
        rows = [
            ("Specs", ", ".join(specs)),
            ("Time Zone", job["Periodic"]["TimeZone"]),
            ("Prohibit Overlap", str(job["Periodic"]["ProhibitOverlap"]).lower()),
            ("Next Periodic Launch", next_launch(job, time.time())),
        ]
        sections.append(("Periodic", pairs(rows)))
    if rules := job["ParameterizedJob"]:
        rows = [
            ("Payload", rules["Payload"] or "optional"),
            ("Required Metadata", ", ".join(rules["MetaRequired"] or ()) or "<none>"),
            ("Optional Metadata", ", ".join(rules["MetaOptional"] or ()) or "<none>"),
        ]
        sections.append(("Parameterized Job", pairs(rows)))
    children = summary.get("Children") or {}
    states = ("Pending", "Running", "Dead")
    sections.append(("Children Job Summary", table(states, [[children.get(state, 0) for state in states]])))
    title, empty = (
        ("Previously Launched Jobs", "No instances of periodic job found")
        if job["Periodic"]
        else ("Dispatched Jobs", "No dispatched instances of parameterized job found")
    )
    stubs = client.get("/v1/jobs", prefix=f"{job['ID']}/", namespace=job["Namespace"])
    rows = [(stub["ID"], stub["Status"]) for stub in stubs if stub["ParentID"] == job["ID"]]
    sections.append((title, table(("ID", "Status"), rows) if rows else empty))
    return "\n\n".join(f"{paint(title, 'white', bold=True)}\n{body}" for title, body in sections)
