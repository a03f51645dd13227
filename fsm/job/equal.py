"""Whether two jobs are the same specification, so that no version is made (spec job-model §6.1)."""

from __future__ import annotations

from yurt.fsm.structs.base import replace
from yurt.fsm.structs.job import Job

_EXEMPT = (
    "status",
    "status_description",
    "stable",
    "version",
    "create_index",
    "modify_index",
    "job_modify_index",
    "submit_time",
)


def same_specification(stored: Job, job: Job) -> bool:
    """Whether `job` says what `stored` says; who wrote it when, its version and its status do not count."""
    return bool(replace(job, **{name: getattr(stored, name) for name in _EXEMPT}) == stored)
