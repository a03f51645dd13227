"""The validation and the launch times of a periodic block (spec job-model §5.14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, tzinfo

from yurt.fsm.lang.cron import CronError, next_of, parse
from yurt.fsm.structs.job import Job, Periodic

SPECS_MAX = 100
Zones = Callable[[str], tzinfo | None]


def only_utc(name: str) -> tzinfo | None:
    """The zones of a caller that has none."""
    return UTC if name in ("", "UTC") else None


def specs_of(periodic: Periodic) -> tuple[str, ...]:
    """The cron specs, from either member."""
    return tuple(periodic.specs or ()) or ((periodic.spec,) if periodic.spec else ())


def periodic_errors(periodic: Periodic, zones: Zones) -> Iterator[str]:
    """Yield the errors of an enabled block, in order."""
    if periodic.spec and periodic.specs:
        yield "Only cron or crons may be used"
    if not specs_of(periodic):
        yield "Must specify a spec"
    if periodic.time_zone and zones(periodic.time_zone) is None:
        yield f'Invalid time zone "{periodic.time_zone}": unknown time zone {periodic.time_zone}'
    if periodic.spec_type != "cron":
        yield f'Unknown periodic specification type "{periodic.spec_type}"'
        return
    if len(specs_of(periodic)) > SPECS_MAX:
        yield f"Too many cron specs: {len(specs_of(periodic))} > {SPECS_MAX}"
        return
    for spec in (*((periodic.spec,) if periodic.spec else ()), *(periodic.specs or ())):
        try:
            parse(spec)
        except CronError as error:
            yield f'Invalid cron spec "{spec}": {error}'


def next_launch(job: Job, after_ns: int, zones: Zones) -> int | None:
    """When the job's next child is due (Unix nanoseconds), strictly after a time.

    None if it is none that is launched by the clock: not periodic, disabled, stopped, parameterized, or never due.
    """
    if job.periodic is None or job.stop or job.is_parameterized:
        return None
    return next_time(job.periodic, after_ns, zones)


def next_time(periodic: Periodic, after_ns: int, zones: Zones) -> int | None:
    """The next time of an enabled block, whatever else the job is: what a plan tells. None if it is never due."""
    if not periodic.enabled or periodic.spec_type != "cron":
        return None
    zone = zones(periodic.time_zone)
    if zone is None:
        return None
    try:
        return next_of(specs_of(periodic), after_ns, zone)
    except CronError:
        return None
