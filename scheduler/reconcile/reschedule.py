"""When a failed allocation is replaced, and what the replacement remembers (spec scheduling §7.4)."""

from __future__ import annotations

from yurt.fsm.structs.allocation import FAILED, LOST, UNKNOWN, Allocation, RescheduleEvent, RescheduleTracker
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.policies import ReschedulePolicy
from yurt.fsm.structs.times import SECOND, from_rfc3339
from yurt.scheduler.reconcile.classify import unknown_since

NO_PLACEMENT, RESCHEDULED = "no placement", "ok"
SOON_NS = SECOND
_EVENTS_KEPT = 5


def policy_of(allocation: Allocation, group: TaskGroup | None) -> ReschedulePolicy | None:
    """The policy that an allocation was placed with, else that of its group now."""
    own = allocation.job.group(allocation.task_group) if allocation.job else None
    return (own or group or TaskGroup()).reschedule_policy


def fail_time(allocation: Allocation) -> int:
    """When its last task ended, in nanoseconds; when it changed last if no task says."""
    states = (allocation.task_states or {}).values()
    ended = [from_rfc3339(state.finished_at) for state in states if state.finished_at]
    return max(ended, default=allocation.modify_time)


def ran_successfully(allocation: Allocation) -> bool:
    """Whether all of its tasks, at least one, ended well."""
    states = list((allocation.task_states or {}).values())
    return bool(states) and all(state.state == "dead" and not state.failed for state in states)


def events_of(allocation: Allocation) -> tuple[RescheduleEvent, ...]:
    """The replacements that led to it."""
    tracker = allocation.reschedule_tracker
    return (tracker.events or ()) if tracker is not None else ()


def last_failed(allocation: Allocation) -> bool:
    """Whether the last try to replace it found no place."""
    tracker = allocation.reschedule_tracker
    return tracker is not None and tracker.last_reschedule == NO_PLACEMENT


def delay(policy: ReschedulePolicy, events: tuple[RescheduleEvent, ...], failed_at: int) -> int:
    """How long the next replacement waits, in nanoseconds."""
    if not events:
        return policy.delay
    last = events[-1]
    if policy.delay_function == "exponential":
        found = last.delay * 2
    elif policy.delay_function == "fibonacci":
        found = policy.delay
        if len(events) > 1:
            older = events[-2]
            restarted = older.delay == policy.max_delay and last.delay == policy.delay
            found = policy.delay if restarted else older.delay + last.delay
    else:
        return policy.delay
    if policy.max_delay > 0 and found > policy.max_delay:
        return policy.delay if failed_at - last.reschedule_time > policy.max_delay else policy.max_delay
    return found


def next_time(allocation: Allocation, policy: ReschedulePolicy | None, failed_at: int) -> int | None:
    """When it may be replaced, None if never (spec §7.4, eligibility)."""
    if policy is None or (policy.attempts == 0 and not policy.unlimited):
        return None
    events = events_of(allocation)
    wait = delay(policy, events, failed_at)
    if not policy.unlimited and allocation.reschedule_tracker is not None:
        used = sum(failed_at - one.reschedule_time < policy.interval for one in events)
        if used >= policy.attempts or wait >= policy.interval:
            return None
    return failed_at + wait


def eligible_at(allocation: Allocation, group: TaskGroup | None, *, batch: bool) -> int | None:
    """When a failed allocation may be replaced, None if never."""
    if allocation.is_server_terminal and not last_failed(allocation):
        return None
    asked = allocation.desired_transition is not None and bool(allocation.desired_transition.reschedule)
    if allocation.client_status not in (FAILED, LOST, UNKNOWN) and not (batch and asked):
        return None
    since = unknown_since(allocation) if allocation.client_status == UNKNOWN else None
    return next_time(allocation, policy_of(allocation, group), since or fail_time(allocation))


def tracker_after(previous: Allocation, group: TaskGroup | None, now_ns: int) -> RescheduleTracker:
    """Return the reschedule tracker of a failed allocation's replacement."""
    policy = policy_of(previous, group)
    events = events_of(previous)
    wait = 0
    if policy is not None:
        failed_at = now_ns if previous.client_status == UNKNOWN else fail_time(previous)
        wait = delay(policy, events, failed_at)
        if policy.attempts > 0 and not policy.unlimited:
            events = tuple(one for one in events if now_ns - one.reschedule_time < policy.interval)
        else:
            events = events[-_EVENTS_KEPT:]
    event = RescheduleEvent(
        delay=wait, prev_alloc_id=previous.id, prev_node_id=previous.node_id, reschedule_time=now_ns
    )
    return RescheduleTracker(events=(*events, event), last_reschedule=RESCHEDULED)
