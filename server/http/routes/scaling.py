"""Scaling policies, as autoscalers look for them (spec cluster §8). They live in the jobs that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from yurt.fsm.lang.filter import Partial
from yurt.fsm.store.postings import gradually
from yurt.fsm.store.schema import JOBS
from yurt.fsm.store.view import View
from yurt.fsm.structs.base import Record, to_json
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.policies import ScalingPolicy, ScalingTarget
from yurt.fsm.structs.secrets import readable_fields
from yurt.server.acl.authority import denied
from yurt.server.http.asgi.context import Context, ReadOptions
from yurt.server.http.query.found import Found
from yurt.server.http.query.listing import Listing, filter_of
from yurt.server.http.routes.lookup import missing
from yurt.server.platform.turns import Steps


class ScalingPolicyStub(Record, frozen=True):
    """A scaling policy in a list."""

    id: str
    type: str
    target: ScalingTarget | None
    enabled: bool
    create_index: int
    modify_index: int


STUB_FIELDS = frozenset(readable_fields(ScalingPolicyStub))


def _stub(policy: ScalingPolicy) -> ScalingPolicyStub:
    return ScalingPolicyStub(**{name: getattr(policy, name) for name in ScalingPolicyStub.__struct_fields__})


def policies_of(job: Job) -> Iterator[ScalingPolicy]:
    """The policies of a job that is not stopped: of its groups, then of its tasks."""
    if job.stop:
        return
    for group in job.task_groups or ():
        if group.scaling is not None:
            yield group.scaling
        for task in group.tasks or ():
            yield from task.scaling_policies or ()


def _may(context: Context, namespace: str, alone: str) -> bool:
    """A right of its own, or both rights to look at jobs."""
    rights = context.identity.rights
    both = rights.in_namespace(namespace, "list-jobs") and rights.in_namespace(namespace, "read-job")
    return both or rights.in_namespace(namespace, alone)


def _as_listed(context: Context) -> Callable[[tuple[str, ScalingPolicy]], Any]:
    """Return a function to a filter's view of a listed policy: all of it if the caller may read it, else the stub."""

    def seen(row: tuple[str, ScalingPolicy]) -> Any:
        namespace, policy = row
        return policy if _may(context, namespace, "read-scaling-policy") else Partial(policy, STUB_FIELDS)

    return seen


def list_policies(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/scaling/policies: stubs, of one `job` or one `type` if asked so."""
    namespace, job_id, kind = context.namespace, context.query.get("job", ""), context.query.get("type", "")
    if not _may(context, namespace, "list-scaling-policies"):
        raise denied()
    filter_of(options)  # a wrong one is refused before anything is looked at
    jobs = view.scan(JOBS) if namespace == "*" else view.scan(JOBS, prefix=(namespace, ""))
    chosen: dict[str, list[tuple[str, ScalingPolicy]]] = {}
    for job in jobs:
        is_asked_for = namespace in ("*", job.namespace) and job_id in ("", job.id)
        if is_asked_for and _may(context, job.namespace, "list-scaling-policies"):
            for policy in policies_of(job):
                if kind in ("", policy.type) and policy.id.startswith(options.prefix):
                    chosen.setdefault(policy.id, []).append((job.namespace, policy))
        yield
    ids = gradually(chosen.keys())
    rows = (row for policy_id in ids for row in ((None,) if policy_id is None else chosen[policy_id]))
    index = max(1, view.table_index(JOBS))
    listing = Listing(
        rows,
        lambda row: to_json(_stub(row[1])),
        index,
        ((JOBS, None),),
        options,
        lambda row: str(row[1].id),
        as_seen=_as_listed(context),
    )
    return (yield from listing.steps())


def read_policy(view: View, context: Context, options: ReadOptions) -> Steps[Found]:
    """GET /v1/scaling/policy/:id."""
    wanted = context.arguments[0]
    watch = ((JOBS, None),)
    for job in view.scan(JOBS):
        for policy in policies_of(job):
            if policy.id == wanted:
                if not _may(context, job.namespace, "read-scaling-policy"):
                    raise denied()
                return Found(to_json(policy), policy.modify_index, watch)
        yield
    if not _may(context, context.namespace, "read-scaling-policy"):
        raise denied()
    return missing("policy not found", max(1, view.table_index(JOBS)), *watch)
