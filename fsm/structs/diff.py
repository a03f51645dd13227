"""The structured difference of two jobs (spec job-model §7)."""

from __future__ import annotations

from typing import Literal

from yurt.fsm.structs.base import Record

DiffType = Literal["Added", "Deleted", "Edited", "None"]
ADDED: DiffType = "Added"
DELETED: DiffType = "Deleted"
EDITED: DiffType = "Edited"
NONE: DiffType = "None"


class FieldDiff(Record, frozen=True):
    """One field as text on both sides; "" is no value. Only plans annotate."""

    annotations: tuple[str, ...] | None = None
    name: str = ""
    new: str = ""
    old: str = ""
    type: DiffType = NONE


class ObjectDiff(Record, frozen=True):
    """A block, a list member or a set of texts."""

    fields: tuple[FieldDiff, ...] | None = None
    name: str = ""
    objects: tuple[ObjectDiff, ...] | None = None
    type: DiffType = NONE


class TaskDiff(Record, frozen=True):
    """A task; `annotations` say what a plan would do because of it."""

    annotations: tuple[str, ...] | None = None
    fields: tuple[FieldDiff, ...] | None = None
    name: str = ""
    objects: tuple[ObjectDiff, ...] | None = None
    type: DiffType = NONE


class TaskGroupDiff(Record, frozen=True):
    """A group; `updates` counts what a plan would do with its allocations, None outside of plans."""

    fields: tuple[FieldDiff, ...] | None = None
    name: str = ""
    objects: tuple[ObjectDiff, ...] | None = None
    tasks: tuple[TaskDiff, ...] | None = None
    type: DiffType = NONE
    updates: dict[str, int] | None = None


class JobDiff(Record, frozen=True):
    """A job with all its groups, also those that are the same."""

    fields: tuple[FieldDiff, ...] | None = None
    id: str = ""
    objects: tuple[ObjectDiff, ...] | None = None
    task_groups: tuple[TaskGroupDiff, ...] | None = None
    type: DiffType = NONE
