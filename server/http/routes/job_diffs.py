"""Diffs in answers: those of small jobs at once, those of large ones beside the loop (spec job-model §7)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from yurt.fsm.errors import Refusal
from yurt.fsm.job.diff.job import diff_jobs
from yurt.fsm.lang.strconv import parse_uint
from yurt.fsm.structs.base import to_json
from yurt.fsm.structs.evaluation import PlanAnnotations
from yurt.fsm.structs.job import Job
from yurt.scheduler.annotate import diff_plan
from yurt.server.http.asgi.context import Context

LARGE_BYTES = 64 << 10  # of the compared jobs' JSON: a diff of less takes 1 ms, at worst 8 ms

Pairs = list[tuple[Job, Job]]


def pairs_of_versions(context: Context, versions: list[Job]) -> Pairs:
    """Which versions (newest first) `diffs`, `diff_tag` and `diff_version` compare, none if nobody asks for diffs.

    Raises Refusal(500) for a version or tag that is not there.
    """
    if not context.flag("diffs"):
        return []
    if tag := context.query.get("diff_tag", ""):
        named = [job for job in versions if job.version_tag is not None and job.version_tag.name == tag]
        unknown = f'tag "{tag}" not found'
    elif (number := diff_version(context)) is not None:
        named = [job for job in versions if job.version == number]
        unknown = f"version {number} not found"
    else:
        return list(zip(versions[1:], versions, strict=False))
    if not named:
        raise Refusal(500, unknown)
    return [(named[0], job) for job in versions]


def diff_version(context: Context) -> int | None:
    """The parameter of that name; raises Refusal(500)."""
    value = context.query.get("diff_version", "")
    if not value:
        return None
    try:
        return parse_uint(value)
    except ValueError as error:
        raise Refusal(500, f'Failed to parse value of "diff_version" ({value}) as a uint64: {error}') from None


def encoded_diffs(pairs: Pairs) -> bytes:
    """The answer's `Diffs`: null if there are none."""
    return b"[" + b",".join(to_json(diff_jobs(old, new)) for old, new in pairs) + b"]" if pairs else b"null"


async def encoded_plan(
    context: Context, stored: Job | None, stored_bytes: int, job: Job, annotations: PlanAnnotations
) -> bytes:
    """The plan's `Diff`."""
    work: Callable[[], bytes] = partial(_plan, stored, job, annotations)
    if len(context.body) + stored_bytes > LARGE_BYTES:
        return await context.beside_loop(work)
    return work()


def _plan(stored: Job | None, job: Job, annotations: PlanAnnotations) -> bytes:
    return to_json(diff_plan(stored, job, annotations))
