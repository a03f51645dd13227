"""A whole service or batch job: each of its groups, and its deployment (spec scheduling §7.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from yurt.fsm.structs.allocation import LOST, PENDING, RUNNING, Allocation
from yurt.fsm.structs.deployment import Deployment
from yurt.fsm.structs.node import DOWN
from yurt.scheduler.reconcile.deployments import Rollout
from yurt.scheduler.reconcile.group import reconcile_group, stop_all
from yurt.scheduler.reconcile.result import LOST_TEXT, Context, GroupResult


@dataclass(slots=True)
class JobResult:
    """The decisions about a job, by group."""

    rollout: Rollout
    groups: dict[str, GroupResult] = field(default_factory=dict)


def reconcile_job(context: Context, latest: Deployment | None, allocations: Iterable[Allocation]) -> JobResult:
    """Compare what a job wants with its allocations; `latest` is its latest deployment, None for batch jobs."""
    job = context.job
    by_group: dict[str, list[Allocation]] = {}
    for one in allocations:
        by_group.setdefault(one.task_group, []).append(one)
    result = JobResult(Rollout.begin(job, latest))
    wanted = {group.name: group for group in (job.task_groups or ())} if job is not None else {}
    for name in [*wanted, *(one for one in sorted(by_group) if one not in wanted)]:
        own = by_group.get(name, [])
        if job is None or job.stop:
            found = GroupResult()
            stop_all(context, found, name, wanted.get(name), own)
        else:
            found = reconcile_group(context, result.rollout, name, wanted.get(name), own)
        result.groups[name] = found
        _stop_again(context, found, own)
    if job is not None and not job.stop and all(group.complete for group in result.groups.values()):
        result.rollout.complete()
    return result


def _stop_again(context: Context, result: GroupResult, allocations: list[Allocation]) -> None:
    """Mark as lost the allocations that were to stop on a node that is gone by now (spec §7.1)."""
    for one in allocations:
        if one.is_server_terminal and one.client_status in (RUNNING, PENDING) and one.id not in result.stops:
            node = context.find_node(one.node_id)
            if node is None or node.status == DOWN:
                result.stop(one, LOST_TEXT, status=LOST, counted=False)
