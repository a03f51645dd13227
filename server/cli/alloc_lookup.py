"""Allocations as a table, and the one that a short ID names."""

from __future__ import annotations

from typing import Any

from yurt.server.cli.client import Client
from yurt.server.cli.output import ago, short, table
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


def resolve(client: Client, given: str) -> str:
    """The ID of the one allocation that a prefix names."""
    return only_match(client, "/v1/allocations", given, "allocation", listing)
