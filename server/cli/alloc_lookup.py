"""Allocations as a table, and the one that a short ID names."""

from __future__ import annotations

from typing import Any

from yurt.server.cli.client import Client, job_path
from yurt.server.cli.output import ago, fail, short, table
from yurt.server.cli.resolve import only_match


def listing(allocations: list[dict[str, Any]], verbose: bool = False) -> str:
    """Allocations as a table, newest first."""
    if not allocations:
        return "No allocations placed"
    rows = [
        (
            short(one["ID"], verbose), short(one["NodeID"], verbose), one["TaskGroup"], one["JobVersion"],
            one["DesiredStatus"], one["ClientStatus"], ago(one["CreateTime"]), ago(one["ModifyTime"]),
        )
        for one in sorted(allocations, key=lambda one: -one["CreateIndex"])
    ]  # fmt: skip
    return table(("ID", "Node ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified"), rows)


def allocation_of_job(client: Client, job_id: str) -> str:
    """The ID of a running allocation of a job, the newest one; of one that has ended if none runs."""
    found = client.get(job_path(job_id, "allocations"))
    if not found:
        fail(f'Error: job "{job_id}" has no allocations')
    running = [one for one in found if one["ClientStatus"] == "running"]
    return str(max(running or found, key=lambda one: one["CreateIndex"])["ID"])


def chosen(client: Client, job_id: str, words: list[str]) -> tuple[str, list[str]]:
    """The allocation that -job or else the first word names, and the words after it; ends the command without one."""
    if job_id:
        return allocation_of_job(client, job_id), words
    if not words:
        fail("Error: name an allocation, or a job with -job")
    return resolve(client, words[0]), words[1:]


def resolve(client: Client, given: str) -> str:
    """The ID of the one allocation that a prefix names."""
    return only_match(client, "/v1/allocations", given, "allocation", listing)
