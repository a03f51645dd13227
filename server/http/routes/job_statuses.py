"""/v1/jobs/statuses: jobs with what a page about many of them shows (spec cluster §10)."""

from __future__ import annotations

from collections.abc import Iterator

from yurt.fsm.errors import Refusal
from yurt.fsm.lang.strconv import parse_position
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, JOBS
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.job import SYSBATCH, SYSTEM, Job
from yurt.server.http.asgi.context import Context, ReadOptions
from yurt.server.http.query.listing import Listing
from yurt.server.http.routes.lookup import seen
from yurt.server.platform.turns import Steps


class JobName(Record, frozen=True):
    """A job by its ID."""

    id: str = ""
    namespace: str = ""


class StatusesRequest(Record, frozen=True):
    """POST /v1/jobs/statuses: only these jobs."""

    jobs: tuple[JobName, ...] | None = None
    include_children: bool = False


class HealthShown(Record, frozen=True):
    """The health of an allocation within its deployment."""

    canary: bool
    healthy: bool | None


class StatusAllocation(Record, frozen=True, kw_only=True):
    """An allocation of a job."""

    client_status: str
    deployment_status: HealthShown
    followup_eval_id: str
    group: str
    has_paused_task: bool = False
    id: str
    job_version: int
    node_id: str


class StatusDeployment(Record, frozen=True):
    """The newest deployment of a job."""

    all_auto_promote: bool
    id: str
    is_active: bool
    job_version: int
    requires_promotion: bool
    status: str
    status_description: str


class JobStatus(Record, frozen=True):
    """A job with what a page about many of them shows; `child_statuses` only of those that have children."""

    allocs: tuple[StatusAllocation, ...]
    child_statuses: tuple[str, ...] | None
    datacenters: tuple[str, ...] | None
    group_count_sum: int
    id: str
    is_pack: bool
    latest_deployment: StatusDeployment | None
    modify_index: int
    name: str
    namespace: str
    node_pool: str
    parent_id: str
    priority: int
    status: str
    stop: bool
    submit_time: int
    type: str
    version: int


NO_ALLOCATIONS = b'{"Allocs":[]'  # the beginning of a status without them


def statuses(view: View, context: Context, options: ReadOptions) -> Listing:
    """GET or POST /v1/jobs/statuses."""
    given: StatusesRequest = context.given or StatusesRequest()
    if context.given is not None and not given.jobs:
        raise Refusal(400, "no jobs in request")
    with_children = given.include_children or _flag(context)
    rows: Iterator[Job | None]
    if given.jobs:
        rows = _named(view, context, given.jobs, reverse=options.reverse)
    else:
        jobs = view.scan(JOBS, order="modified", start=_start(options), reverse=options.reverse)
        rows = seen(context, jobs, None if with_children else lambda job: not job.parent_id)
    return Listing(
        rows,
        lambda job: _shown(view, job),
        0,
        ((JOBS, None), (ALLOCATIONS, None), (DEPLOYMENTS, None)),
        options,
        lambda job: str(job.modify_index),
        place_of=lambda job: _number(str(job.modify_index)),
        start=_number(options.next_token) if options.next_token else None,
        index_of=lambda job: _newest(view, job),
    )


def _start(options: ReadOptions) -> tuple[int, ...] | None:
    """The place of the first job that a page may show: tokens are indexes of jobs."""
    is_text, index, _ = _number(options.next_token)
    if is_text:
        return None
    return (index + 1,) if options.reverse else (index,)


def _allowed(context: Context, namespace: str) -> bool:
    return context.identity.rights.in_namespace(namespace, "read-job")


def _flag(context: Context) -> bool:
    try:
        return context.flag("include_children")
    except Refusal as refusal:
        raise Refusal(400, refusal.text) from None


def _number(token: str) -> tuple[bool, int, str]:
    """Tokens are indexes here; what is none comes after them all."""
    index = parse_position(token)
    return (True, 0, token) if index is None else (False, index, "")


def _named(view: View, context: Context, names: tuple[JobName, ...], *, reverse: bool) -> Iterator[Job | None]:
    """The jobs of these names that the caller may see, in order; None for each name that was looked up."""
    own = context.namespace if context.namespace != "*" else "default"
    found: list[Job] = []
    for name in names:
        namespace = name.namespace or own
        job = view.get(JOBS, (namespace, name.id)) if _allowed(context, namespace) else None
        if job is not None:
            found.append(job)
        yield None
    found.sort(key=JOBS.orders["modified"], reverse=reverse)
    yield from found


def _latest(view: View, job: Job) -> Steps[Deployment | None]:
    """The newest deployment of a job."""
    latest: Deployment | None = None
    for row in view.each(DEPLOYMENTS, "job", (job.namespace, job.id)):
        if row is not None and (latest is None or row.create_index > latest.create_index):
            latest = row
        yield
    return latest


def _children(view: View, job: Job) -> Iterator[Job | None]:
    """The children of a parent one by one; None now and then."""
    if job.is_parent:
        yield from view.each(JOBS, "parent", (job.namespace, job.id))


def _newest(view: View, job: Job) -> Steps[int]:
    """The newest index of what is shown of a job."""
    key = (job.namespace, job.id)
    index = job.modify_index
    for row in view.each(ALLOCATIONS, "job", key):
        index = index if row is None else max(index, row.modify_index)
        yield
    latest = yield from _latest(view, job)
    if latest is not None:
        index = max(index, latest.modify_index)
    for child in _children(view, job):
        index = index if child is None else max(index, child.modify_index)
        yield
    return index


def _shown(view: View, job: Job) -> Steps[bytes]:
    """The JSON of a job's status."""
    key = (job.namespace, job.id)
    allocations: list[bytes] = []
    for row in view.each(ALLOCATIONS, "job", key):
        if row is not None:
            allocations.append(to_json(_allocation(row)))
        yield
    latest = yield from _latest(view, job)
    children: list[str] = []
    for child in _children(view, job):
        if child is not None:
            children.append(child.status)
        yield
    rest = to_json(_status(job, latest, tuple(children)))
    assert rest.startswith(NO_ALLOCATIONS)
    return NO_ALLOCATIONS[:-1] + b",".join(allocations) + rest[len(NO_ALLOCATIONS) - 1 :]


def _status(job: Job, latest: Deployment | None, children: tuple[str, ...]) -> JobStatus:
    """Return a job's status as shown, without its allocations."""
    counted = 0 if job.type in (SYSTEM, SYSBATCH) else sum(group.count for group in job.task_groups or ())
    return JobStatus(
        allocs=(),
        child_statuses=children if job.is_parent else None,
        datacenters=job.datacenters,
        group_count_sum=counted,
        id=job.id,
        is_pack="pack.name" in (job.meta or {}),
        latest_deployment=_deployment(latest) if latest is not None else None,
        modify_index=job.modify_index,
        name=job.name,
        namespace=job.namespace,
        node_pool=job.node_pool,
        parent_id=job.parent_id,
        priority=job.priority,
        status=job.status,
        stop=job.stop,
        submit_time=job.submit_time,
        type=job.type,
        version=job.version,
    )


def _allocation(one: Allocation) -> StatusAllocation:
    health = one.deployment_status
    return StatusAllocation(
        client_status=one.client_status,
        deployment_status=HealthShown(
            canary=health.canary if health is not None else False,
            healthy=health.healthy if health is not None else None,
        ),
        followup_eval_id=one.followup_eval_id,
        group=one.task_group,
        id=one.id,
        job_version=one.job.version if one.job is not None else 0,
        node_id=one.node_id,
    )


def _deployment(one: Deployment) -> StatusDeployment:
    groups = list((one.task_groups or {}).values())
    canaries = [group for group in groups if group.desired_canaries]
    return StatusDeployment(
        all_auto_promote=bool(canaries) and all(group.auto_promote for group in canaries),
        id=one.id,
        is_active=one.is_active,
        job_version=one.job_version,
        requires_promotion=any(not group.promoted for group in canaries),
        status=one.status,
        status_description=one.status_description,
    )
