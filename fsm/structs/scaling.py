"""Scaling events (spec job-model §6.7)."""

from __future__ import annotations

from typing import Any

from yurt.fsm.structs.author import NOBODY, Authored
from yurt.fsm.structs.base import Record


class ScalingEvent(Record, frozen=True):
    """A change of a group's count, or a note of an autoscaler."""

    time: int = 0
    count: int | None = None
    previous_count: int = 0
    message: str = ""
    error: bool = False
    meta: dict[str, Any] | None = None
    eval_id: str | None = None
    create_index: int = 0
    by: Authored = NOBODY


class JobScalingEvents(Record, frozen=True):
    """The events of a job's groups, newest first, at most 20 a group."""

    namespace: str = ""
    job_id: str = ""
    scaling_events: dict[str, tuple[ScalingEvent, ...]] = {}  # noqa: RUF012 (msgspec copies an empty default)
    modify_index: int = 0
