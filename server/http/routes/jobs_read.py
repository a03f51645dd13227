"""Reading jobs (spec jobs-api §3.1, §3.4, §3.6–§3.9, §3.16–§3.18)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.filter import Partial
from yurt.fsm.lang.strconv import parse_uint
from yurt.fsm.store.schema import (
    ALLOCATIONS,
    DEPLOYMENTS,
    EVALUATIONS,
    JOB_SUBMISSIONS,
    JOB_SUMMARIES,
    JOB_VERSIONS,
    JOBS,
    SCALING_EVENTS,
    SERVICE_REGISTRATIONS,
    Table,
)
from yurt.fsm.store.view import View
from yurt.fsm.store.watches import Prefix
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.diff import JobDiff
from yurt.fsm.structs.job import Job, JobSummary
from yurt.fsm.structs.scaling import ScalingEvent
from yurt.fsm.structs.secrets import readable_fields
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.answers import encoded
from yurt.server.http.asgi.context import Answer, Context, ReadOptions, json_answer, text
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, join, stored
from yurt.server.http.query.reads import NO_CONTACT, UNKNOWN
from yurt.server.http.routes.job_diffs import LARGE_BYTES, diff_version, encoded_diffs, pairs_of_versions
from yurt.server.http.routes.lookup import missing, seen
from yurt.server.platform.turns import Steps


class JobStub(Record, frozen=True):
    """A job in a list; `meta` only if it is asked for."""

    id: str
    parent_id: str
    name: str
    namespace: str
    datacenters: tuple[str, ...] | None
    multiregion: Any
    node_pool: str
    type: str
    priority: int
    periodic: bool
    parameterized_job: bool
    stop: bool
    status: str
    status_description: str
    job_summary: JobSummary | None
    create_index: int
    modify_index: int
    job_modify_index: int
    submit_time: int
    meta: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class VersionsAnswer(Record, frozen=True, kw_only=True):
    """The versions of a job, newest first, and their differences if they are asked for."""

    diffs: tuple[JobDiff, ...] | None
    index: int
    known_leader: bool = True
    last_contact: int = 0
    next_token: str = ""
    versions: tuple[Job, ...]


class GroupScale(Record, frozen=True):
    """How many allocations of a group there are and should be, and how that came."""

    desired: int
    placed: int
    running: int
    healthy: int
    unhealthy: int
    events: tuple[ScalingEvent, ...] | None


class ScaleAnswer(Record, frozen=True):
    """How the groups of a job are scaled."""

    job_id: str
    namespace: str
    job_create_index: int
    job_modify_index: int
    job_stopped: bool
    task_groups: dict[str, GroupScale]


class JobAction(Record, frozen=True):
    """An action that users may run in a task of a job."""

    name: str
    command: str
    args: tuple[str, ...] | None
    task_name: str
    task_group_name: str


_encoded_stubs: dict[tuple[str, str], tuple[Job, JobSummary | None, bytes]] = {}
STUBS_KEPT_MAX = 200_000


def stub(view: View, job: Job, *, meta: bool) -> bytes:
    """The encoded stub of a job, made once for a job record and its summary."""
    key = (job.namespace, job.id)
    summary = view.get(JOB_SUMMARIES, key)
    kept = _encoded_stubs.get(key)
    if kept is not None and kept[0] is job and kept[1] is summary:
        body = kept[2]
    else:
        fields = {name: getattr(job, name) for name in _SAME}
        one = JobStub(**fields, periodic=job.is_periodic, parameterized_job=job.is_parameterized, job_summary=summary)
        body = to_json(one)
        if len(_encoded_stubs) >= STUBS_KEPT_MAX:
            _encoded_stubs.clear()
        _encoded_stubs[key] = (job, summary, body)
    if meta and job.meta:
        return body[:-1] + b',"Meta":' + orjson.dumps(job.meta) + b"}"
    return body


_SAME = [n for n in JobStub.__struct_fields__ if n not in ("periodic", "parameterized_job", "job_summary", "meta")]


STUB_FIELDS = frozenset(readable_fields(JobStub)) - {"Periodic", "ParameterizedJob"}  # those two are booleans there


def as_listed(context: Context) -> Callable[[Job], Any]:
    """Return a function to a filter's view of a listed job: all of it if the caller may read it, else the stub."""
    may = context.identity.rights.in_namespace
    return lambda job: job if may(job.namespace, "read-job") else Partial(job, STUB_FIELDS)


_LISTED = ((JOBS, None), (JOB_SUMMARIES, None))


def list_jobs(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/jobs."""
    _ = context.flag("meta")  # a bad value comes before a bad filter
    namespace, prefix = context.namespace, options.prefix
    rows: Iterator[Job | None]
    start = _start(options)
    if namespace == "*":
        rows = seen(context, view.scan(JOBS, start=start, reverse=options.reverse))
        if prefix:
            rows = (job if job is not None and job.id.startswith(prefix) else None for job in rows)
    else:
        found = view.scan(JOBS, prefix=(namespace, prefix), start=start, reverse=options.reverse)
        rows = (job if job.namespace == namespace else None for job in found)
    return _stubs(view, context, rows, options, start)


def _stubs(
    view: View,
    context: Context,
    rows: Iterator[Job | None],
    options: ReadOptions,
    start: tuple[str, str] | None,
) -> Listing:
    meta = context.flag("meta")
    index = max(view.table_index(JOBS), view.table_index(JOB_SUMMARIES))
    place_of = None if start is None else JOBS.key

    def form(job: Job) -> bytes:
        return stub(view, job, meta=meta)

    return Listing(
        rows, form, index, _LISTED, options, _token, place_of=place_of, start=start, as_seen=as_listed(context)
    )


def _token(job: Job) -> str:
    return f"{job.namespace}.{job.id}"


def pool_jobs(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/node/pool/:name/jobs."""
    name, _ = context.arguments[0], context.flag("meta")
    if options.prefix:
        raise Refusal(400, "prefix argument not allowed")
    if not context.identity.rights.with_pool(name, "read"):
        raise denied()
    start = _start(options)
    jobs = view.scan(JOBS, start=start, reverse=options.reverse)
    rows = seen(context, jobs, lambda job: job.node_pool == name)
    return _stubs(view, context, rows, options, start)


def _start(options: ReadOptions) -> tuple[str, str] | None:
    """The job that a page begins with, so that skipping to it costs nothing; no namespace has a dot in its name."""
    namespace, dot, job_id = options.next_token.partition(".")
    return (namespace, job_id) if dot else None


def read_job(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/job/:id."""
    key = (context.namespace, context.arguments[0])
    job = view.get(JOBS, key)
    if job is None:
        return missing("job not found", view.table_index(JOBS), (JOBS, key))
    return Found(context.server.machine.store.encoded(JOBS, job), job.modify_index, ((JOBS, key),))


def read_versions(view: View, context: Context, options: ReadOptions) -> Found:
    """Any method on /v1/job/:id/versions."""
    _ = context.flag("diffs"), diff_version(context)  # bad values come before a job that is not there
    namespace, job_id = context.namespace, context.arguments[0]
    versions = view.find(JOB_VERSIONS, "job", (namespace, job_id))[::-1]
    watch = ((JOB_VERSIONS, _below(namespace, job_id)),)
    if not versions:
        return missing("job versions not found", view.table_index(JOB_VERSIONS), *watch)
    store = context.server.machine.store
    index = max(job.modify_index for job in versions)
    bodies = join(store.encoded(JOB_VERSIONS, job) for job in versions)
    pairs = pairs_of_versions(context, versions)

    def body() -> bytes:
        return to_json(VersionsAnswer(diffs=encoded(encoded_diffs(pairs)), index=index, versions=encoded(bodies)))

    if pairs and len(bodies) > LARGE_BYTES:
        return Found(b"", index, watch, later=body)
    return Found(body(), index, watch)


def _below(namespace: str, job_id: str) -> Any:
    """All rows of a job in a table whose keys begin with namespace and ID."""
    return Prefix((namespace, job_id))


def read_summary(view: View, context: Context, options: ReadOptions) -> Found:
    """Any method on /v1/job/:id/summary."""
    key = (context.namespace, context.arguments[0])
    summary = view.get(JOB_SUMMARIES, key)
    if summary is None:
        return missing("job not found", view.table_index(JOB_SUMMARIES), (JOB_SUMMARIES, key))
    return Found(
        context.server.machine.store.encoded(JOB_SUMMARIES, summary), summary.modify_index, ((JOB_SUMMARIES, key),)
    )


def read_submission(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/job/:id/submission."""
    version = submission_version(context)
    key = (context.namespace, context.arguments[0], version)
    submission = view.get(JOB_SUBMISSIONS, key)
    if submission is None:
        return missing("job source not found", 0, (JOB_SUBMISSIONS, key))
    body = context.server.machine.store.encoded(JOB_SUBMISSIONS, submission)
    return Found(body, submission.job_modify_index, ((JOB_SUBMISSIONS, key),))


def submission_version(context: Context) -> int:
    """The version parameter, which is looked at before the method."""
    try:
        return parse_uint(context.query.get("version", ""))
    except ValueError:
        raise Refusal(400, "Unable to parse job submission version parameter") from None


def job_evaluations(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/job/:id/evaluations."""
    return _of_job(view, context, EVALUATIONS)


def job_deployments(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET /v1/job/:id/deployments."""
    return _of_job(view, context, DEPLOYMENTS)


def _of_job(view: View, context: Context, table: Table[str, Any]) -> Listing:
    """All rows of a table that a job has."""
    rows = view.each(table, "job", (context.namespace, context.arguments[0]))
    return Listing(rows, stored(context, table), view.table_index(table), ((table, None),))


def job_deployment(view: View, context: Context, options: ReadOptions) -> Found:
    """GET /v1/job/:id/deployment: the newest, or null."""
    found = view.find(DEPLOYMENTS, "job", (context.namespace, context.arguments[0]))
    body = b"null"
    if found:
        newest = max(found, key=lambda one: one.create_index)
        body = context.server.machine.store.encoded(DEPLOYMENTS, newest)
    return Found(body, view.table_index(DEPLOYMENTS), ((DEPLOYMENTS, None),))


def read_scale(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/job/:id/scale."""
    key = (context.namespace, context.arguments[0])
    watch = ((JOBS, key), (SCALING_EVENTS, key), (ALLOCATIONS, None))
    job = view.get(JOBS, key)
    if job is None:
        return missing("job not found", view.index, *watch)
    events = view.get(SCALING_EVENTS, key)
    groups, index = {}, max(job.modify_index, events.modify_index if events else 0)
    allocations = []
    for row in view.each(ALLOCATIONS, "live", key):
        if row is not None and not _canary(row):
            allocations.append(row)
        yield
    for group in job.task_groups or ():
        own = [one for one in allocations if one.task_group == group.name]
        health = [one.deployment_status.healthy for one in own if one.deployment_status]
        known = events.scaling_events.get(group.name) if events else None
        groups[group.name] = GroupScale(
            desired=group.count,
            placed=len(own),
            running=sum(one.client_status == "running" for one in own),
            healthy=health.count(True),
            unhealthy=health.count(False),
            events=known or None,
        )
        index = max([index, *(one.modify_index for one in own)])
    body = ScaleAnswer(
        job_id=job.id,
        namespace=job.namespace,
        job_create_index=job.create_index,
        job_modify_index=job.modify_index,
        job_stopped=job.stop,
        task_groups=groups,
    )
    return Found(to_json(body), index, watch)


def _canary(allocation: Allocation) -> bool:
    return allocation.deployment_status is not None and allocation.deployment_status.canary


def job_services(view: View, context: Context, options: ReadOptions) -> Found | Listing:
    """GET /v1/job/:id/services."""
    key = (context.namespace, context.arguments[0])
    watch = ((SERVICE_REGISTRATIONS, None), (JOBS, key))
    if view.get(JOBS, key) is None:
        return missing("job not found", 0, *watch)
    rows = view.each(SERVICE_REGISTRATIONS, "job", key)
    form = stored(context, SERVICE_REGISTRATIONS)
    return Listing(rows, form, view.table_index(SERVICE_REGISTRATIONS), watch)


async def job_actions(context: Context) -> Answer:
    """GET /v1/job/:id/actions: never blocks and has no index."""
    job = context.server.view().get(JOBS, (context.namespace, context.arguments[0]))
    headers = ((b"x-nomad-index", b"0"), UNKNOWN, NO_CONTACT)
    if job is None:
        return text(500, f'Unknown job "{context.arguments[0]}"')
    actions = [
        JobAction(
            name=action.name,
            command=action.command,
            args=action.args,
            task_name=task.name,
            task_group_name=group.name,
        )
        for group in job.task_groups or ()
        for task in group.tasks or ()
        for action in task.actions or ()
    ]
    return json_answer(to_json(actions), *headers)
