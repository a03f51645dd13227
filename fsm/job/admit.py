"""Admission: from a decoded request to a job that may be stored (spec job-model §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yurt.fsm.errors import Refusal
from yurt.fsm.job.canonicalize import canonicalize
from yurt.fsm.job.multierror import multierror, multiwarning
from yurt.fsm.job.mutate import mutate
from yurt.fsm.job.validate.cluster import cluster_errors, edition_errors
from yurt.fsm.job.validate.job import job_errors
from yurt.fsm.job.validate.periodic import Zones, only_utc
from yurt.fsm.job.warnings import job_warnings, memory_warnings
from yurt.fsm.store.reader import Reader
from yurt.fsm.structs.job import Job, JobSubmission

NO_REGION = "No path to region"


@dataclass(frozen=True, slots=True)
class Limits:
    """The configured limits of jobs (spec cluster §16), and the known time zones."""

    priority_default: int = 50
    priority_max: int = 100
    count_max: int = 50_000
    source_bytes_max: int = 1_000_000
    zones: Zones = only_utc


@dataclass(frozen=True, slots=True)
class Admitted:
    """A job that may be stored, and what should be said about it."""

    job: Job
    warnings: tuple[str, ...]

    @property
    def warning_text(self) -> str:
        """The answer's `Warnings`."""
        return multiwarning(self.warnings)


def prepare(body: dict[str, Any], *, namespace: str, region: str, limits: Limits) -> Job:
    """The canonical job with what it implies; `body` is used up. Raises Refusal(500) if a mutator cannot do its work.

    A job of several regions goes to the first of them unless this one is among them.
    """
    job = mutate(canonicalize(body, namespace=namespace, region=region, priority=limits.priority_default))
    if (regions := _regions(job)) and region not in regions:
        raise Refusal(500, NO_REGION)
    return job


def errors_of(job: Job, reader: Reader, limits: Limits) -> list[str]:
    """Everything that keeps the job from being stored, in order."""
    errors = ["Multiregion jobs are unlicensed."] if _regions(job) else []
    errors.extend(cluster_errors(job, reader))
    errors.extend(job_errors(job, priority_max=limits.priority_max, count_max=limits.count_max, zones=limits.zones))
    errors.extend(edition_errors(job))
    return errors


def _regions(job: Job) -> list[str]:
    return [region.name for region in job.multiregion.regions or ()] if job.multiregion is not None else []


def admit(
    body: dict[str, Any],
    *,
    reader: Reader,
    namespace: str,
    region: str,
    limits: Limits,
) -> Admitted:
    """The admitted job; raises Refusal(500) with everything that is wrong."""
    job = prepare(body, namespace=namespace, region=region, limits=limits)
    if errors := errors_of(job, reader, limits):
        raise Refusal(500, multierror(errors))
    return Admitted(job, (*job_warnings(job), *memory_warnings(job, reader)))


def admit_submission(submission: JobSubmission | None, limits: Limits) -> tuple[JobSubmission | None, str]:
    """The submission if it is not too large, else None and the warning."""
    if submission is None or submission.size_bytes <= limits.source_bytes_max:
        return submission, ""
    sizes = _si(submission.size_bytes), _si(limits.source_bytes_max)
    return None, f"job source size of {sizes[0]} exceeds maximum of {sizes[1]} and will be discarded"


def _si(size: int) -> str:
    """A size in decimal units, with a decimal below 10: `1.0 MB`, `12 kB`."""
    number, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.1f} {unit}" if number < 10 and unit != "B" else f"{number:.0f} {unit}"
