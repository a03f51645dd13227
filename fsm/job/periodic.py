"""When a periodic job is launched next (spec job-model §5.14, scheduling §19)."""

from __future__ import annotations

from datetime import tzinfo

from yurt.fsm.lang.cron import CronError, parse_cron
from yurt.fsm.structs.job import Periodic


def next_launch(periodic: Periodic, after_ns: int, zone: tzinfo) -> int | None:
    """The earliest time of all specs that is later than `after_ns`; None if it is disabled, never, or not readable."""
    if not periodic.enabled or periodic.spec_type != "cron":
        return None
    try:
        crons = [parse_cron(spec) for spec in periodic.specs or (periodic.spec,)]
    except CronError:
        return None
    return min((found for cron in crons if (found := cron.next_after(after_ns, zone)) is not None), default=None)
