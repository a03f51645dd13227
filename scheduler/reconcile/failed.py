"""Which allocations of a group are replaced because they failed: now, later or never (spec scheduling §7.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from yurt.fsm.structs.allocation import (
    COMPLETE,
    EVICT,
    FAILED,
    LOST,
    PENDING,
    RUN,
    RUNNING,
    STOP,
    UNKNOWN,
    Allocation,
    DesiredTransition,
)
from yurt.fsm.structs.group import TaskGroup
from yurt.scheduler.reconcile.classify import own_group, replaced_when_unknown
from yurt.scheduler.reconcile.deployments import Rollout
from yurt.scheduler.reconcile.reschedule import SOON_NS, eligible_at, last_failed, ran_successfully
from yurt.scheduler.reconcile.result import Context

_NO_TRANSITION = DesiredTransition()
_FINE = (PENDING, RUNNING)


@dataclass(slots=True)
class Failures:
    """`later` has times in nanoseconds; its members are in `untainted` (or migrate) as well."""

    untainted: list[Allocation] = field(default_factory=list)
    at_once: list[Allocation] = field(default_factory=list)
    later: list[tuple[int, Allocation]] = field(default_factory=list)
    replaced: list[Allocation] = field(default_factory=list)  # unknown ones that have a replacement


def sort_failures(context: Context, rollout: Rollout, group: TaskGroup, allocations: list[Allocation]) -> Failures:
    """Sort what is not migrating; ignored ones are in no list."""
    found = Failures()
    for one in allocations:
        if one.client_status in _FINE and one.desired_status == RUN:
            found.untainted.append(one)
        elif one.client_status == UNKNOWN and one.next_allocation:
            found.replaced.append(one)
        elif one.is_terminal and one.next_allocation:
            continue
        elif _is_candidate(one, batch=context.batch):
            _sort_candidate(context, rollout, group, one, found)
        elif _fills_its_place(one, batch=context.batch):
            found.untainted.append(one)
    return found


def _is_candidate(one: Allocation, *, batch: bool) -> bool:
    transition = one.desired_transition or _NO_TRANSITION
    if batch:
        if transition.migrate_disable_placement or one.desired_status == EVICT:
            return False
        if transition.reschedule:
            return True
        if one.desired_status == STOP:
            return last_failed(one) and not ran_successfully(one)
        return one.client_status in (FAILED, UNKNOWN)
    if one.is_server_terminal:
        return last_failed(one)
    return one.client_status not in (COMPLETE, LOST)


def _fills_its_place(one: Allocation, *, batch: bool) -> bool:
    """Whether what is no candidate counts; a service that ended does not, it is replaced as a missing one."""
    if not batch:
        return False
    transition = one.desired_transition or _NO_TRANSITION
    if transition.migrate_disable_placement:
        return True
    if one.is_server_terminal:
        return one.desired_status == STOP and ran_successfully(one)
    return True


def _sort_candidate(context: Context, rollout: Rollout, group: TaskGroup, one: Allocation, found: Failures) -> None:
    transition = one.desired_transition or _NO_TRANSITION
    current = rollout.current
    held = current is not None and current.is_active and one.deployment_id == current.id
    if one.client_status == UNKNOWN:
        if not replaced_when_unknown(own_group(one, group)):
            found.untainted.append(one)
            return
    elif held and not transition.reschedule and not _was_healthy(one):
        found.untainted.append(one)
        return
    if transition.force_reschedule and one.is_client_terminal:
        found.at_once.append(one)
        return
    at = eligible_at(one, group, batch=context.batch)
    if at is not None and (one.followup_eval_id == context.evaluation.id or at - context.now_ns <= SOON_NS):
        found.at_once.append(one)
        return
    if at is not None and not context.is_pending(one.followup_eval_id):  # "" is none; one that came too early is over
        found.later.append((at, one))
    found.untainted.append(one)


def _was_healthy(one: Allocation) -> bool:
    """Whether the rollout was done with it before it failed: nobody else will ask for its replacement."""
    return one.deployment_status is not None and one.deployment_status.healthy is True


def sort_migrating(context: Context, group: TaskGroup, migrate: list[Allocation]) -> list[tuple[int, Allocation]]:
    """Stopped batch allocations that were asked to be rescheduled: when each of them may be replaced."""
    if not context.batch:
        return []
    return [
        (at, one)
        for one in migrate
        if (one.desired_transition or _NO_TRANSITION).reschedule
        and (at := eligible_at(one, group, batch=True)) is not None
    ]
