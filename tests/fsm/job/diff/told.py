"""A diff in one line: `+Name{+Field:new -Field:old ~Field:old>new =Field:same}`."""

from __future__ import annotations

from typing import Any

from yurt.fsm.structs.diff import FieldDiff, ObjectDiff

SIGNS = {"Added": "+", "Deleted": "-", "Edited": "~", "None": "="}


def told(*diffs: Any) -> str:
    """Fields and objects in their order; of a job, group or task what it lists."""
    return " ".join(filter(None, map(_told, diffs)))


def _told(diff: Any) -> str:
    if isinstance(diff, FieldDiff):
        value = {"Deleted": diff.old, "Edited": f"{diff.old}>{diff.new}"}.get(diff.type, diff.new)
        return f"{SIGNS[diff.type]}{diff.name}:{value}"
    inside = told(*(diff.fields or ()), *(diff.objects or ()))
    return f"{SIGNS[diff.type]}{diff.name}{{{inside}}}" if isinstance(diff, ObjectDiff) else inside
