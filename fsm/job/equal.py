"""Whether two jobs are the same specification, so that no version is made (spec job-model §6.1); exact equality."""

from __future__ import annotations

from typing import Any

import msgspec

from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job

_exact = msgspec.msgpack.Encoder(order="deterministic").encode
_EXEMPT = (
    "status",
    "status_description",
    "stable",
    "version",
    "create_index",
    "modify_index",
    "job_modify_index",
    "submit_time",
    "submitted_by",
)


def same_specification(stored: Job, job: Job) -> bool:
    """Whether `job` says what `stored` says; who wrote it when, its version and its status do not count."""
    return same(replace(job, **{name: getattr(stored, name) for name in _EXEMPT}), stored)


def same(old: Any, new: Any) -> bool:
    """Whether two values say exactly the same (`==` also holds for true and 1.0 in opaque maps)."""
    return bool(old == new) and _exact(old) == _exact(new)
