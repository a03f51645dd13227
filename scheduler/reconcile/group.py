"""One group of a service or batch job: what is there against what is wanted (spec scheduling §7.2)."""

from __future__ import annotations

from yurt.fsm.structs.allocation import COMPLETE, FAILED, LOST, UNKNOWN, Allocation, AllocState
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.fsm.structs.plan import AllocationChange
from yurt.fsm.structs.times import SECOND, to_rfc3339
from yurt.scheduler.reconcile.classify import (
    Classes,
    classify,
    lost_after,
    own_group,
    replaced_when_unknown,
    should_reconnect,
    stop_after,
    unknown_since,
)
from yurt.scheduler.reconcile.delayed import DISCONNECT_TRIGGER, follow_up, given_up_later, rescheduled_later
from yurt.scheduler.reconcile.deployments import Rollout
from yurt.scheduler.reconcile.failed import Failures, sort_failures, sort_migrating
from yurt.scheduler.reconcile.names import Names, by_index
from yurt.scheduler.reconcile.reconnect import keeps_original, outdated, replacements
from yurt.scheduler.reconcile.reschedule import SOON_NS, next_time, policy_of
from yurt.scheduler.reconcile.result import (
    LOST_TEXT,
    MIGRATING,
    NOT_NEEDED,
    RECONNECTED_TEXT,
    UNKNOWN_TEXT,
    Context,
    GroupResult,
)
from yurt.scheduler.reconcile.rollout import Standing, roll_out

_KILL_TIMEOUT_MIN = 5 * SECOND


def reconcile_group(
    context: Context, rollout: Rollout, name: str, group: TaskGroup | None, allocations: list[Allocation]
) -> GroupResult:
    """Decide about a group of a job that is not stopped; `group` is None if the job has no such group any more."""
    job = context.job
    assert job is not None
    result = GroupResult()
    kept = [one for one in allocations if not one.is_server_terminal or (context.batch and not _asked_again(one))]
    if group is None or group.count == 0:
        stop_all(context, result, name, group, kept)
        return result
    if context.batch:
        finished = [one for one in kept if one.is_terminal and _older(one, job)]
        result.updates["ignore"] += len(finished)
        kept = _without(kept, finished)
    kept, canaries = _stop_canaries(context, rollout, name, group, kept, result)
    return _Group(context, rollout, job, group, result).run(allocations, kept, canaries)


def stop_all(
    context: Context, result: GroupResult, name: str, group: TaskGroup | None, allocations: list[Allocation]
) -> None:
    """Everything of a group that lives ends."""
    live = [one for one in allocations if not one.is_terminal]
    lost = {one.id for one in classify(live, group, context.find_node, context.now_ns, set()).lost}
    for one in live:
        gone = one.id in lost
        result.stop(one, LOST_TEXT if gone else NOT_NEEDED, status=LOST if gone else "")


def _asked_again(one: Allocation) -> bool:
    return one.desired_transition is not None and bool(one.desired_transition.reschedule)


def _older(one: Allocation, job: Job) -> bool:
    old = one.job
    return old is not None and (old.version < job.version or old.create_index < job.create_index)


def _without(allocations: list[Allocation], others: list[Allocation]) -> list[Allocation]:
    ids = {one.id for one in others}
    return [one for one in allocations if one.id not in ids] if ids else allocations


def _stop_canaries(
    context: Context, rollout: Rollout, name: str, group: TaskGroup, kept: list[Allocation], result: GroupResult
) -> tuple[list[Allocation], list[Allocation]]:
    """Canaries of the past end; those of the current deployment that must leave their nodes end uncounted."""
    past: set[str] = set()
    for deployment in (rollout.old, rollout.current if rollout.is_failed else None):
        state = (deployment.task_groups or {}).get(name) if deployment is not None else None
        if state is not None and not state.promoted:
            past.update(state.placed_canaries or ())
    needless = [one for one in kept if one.id in past]
    for one in needless:
        if not one.is_server_terminal and one.client_status != COMPLETE:  # failed ones too: they are not to come back
            result.stop(one, NOT_NEEDED, counted=not one.is_client_terminal)
    kept = _without(kept, needless)
    state = rollout.state(name) if rollout.current is not None else None
    ids = set(state.placed_canaries or ()) if state is not None else set()
    canaries = [one for one in kept if one.id in ids]
    if state is None or state.promoted:
        return kept, canaries
    classes = classify(canaries, group, context.find_node, context.now_ns, ids)
    for one in classes.migrate:
        result.stop(one, MIGRATING, counted=False)
    for one in classes.lost:
        result.stop(one, LOST_TEXT, status=LOST, counted=False)
    leaving = [*classes.migrate, *classes.lost]
    return _without(kept, leaving), _without(canaries, leaving)


class _Group:
    """The steps of one group, in their order."""

    def __init__(self, context: Context, rollout: Rollout, job: Job, group: TaskGroup, result: GroupResult) -> None:
        self._context, self._rollout, self._job, self._group, self._result = context, rollout, job, group, result
        self._now: list[Allocation] = []
        self._held: list[Allocation] = []  # unknown ones whose place is kept

    def run(self, every: list[Allocation], kept: list[Allocation], canaries: list[Allocation]) -> GroupResult:
        context, group, result = self._context, self._group, self._result
        ids = {one.id for one in canaries}
        classes = classify(kept, group, context.find_node, context.now_ns, ids)
        result.updates["ignore"] += len(classes.ignored)
        failures = sort_failures(context, self._rollout, group, classes.untainted)
        replaced = [one for one in classes.returning if one.next_allocation]
        result.updates["ignore"] += len(failures.replaced) + len(replaced)
        self._held = _without(classes.returning, replaced)
        classes.untainted = failures.untainted
        self._now = failures.at_once
        later = [*failures.later, *sort_migrating(context, group, classes.migrate)]
        self._reconnect(every, classes, failures)
        classes.lost += classes.expiring
        self._disconnect(classes, later, kept)
        waits = self._stop_on_client(every, classes)
        self._later(later)
        self._held += [one for one in classes.untainted if one.client_status == UNKNOWN]
        untainted = [one for one in classes.untainted if one.client_status != UNKNOWN]
        self._lose(classes.lost, waits)
        used = [*untainted, *self._held, *classes.migrate, *self._now, *classes.lost]
        standing = Standing(
            every=every,
            untainted=untainted,
            held=self._held,
            migrate=classes.migrate,
            lost=classes.lost,
            at_once=self._now,
            canaries=canaries,
            names=Names(f"{self._job.id}.{group.name}", group.count, used),
            waits=waits,
            later=bool(later),
        )
        roll_out(context, self._rollout, self._job, group, standing, result)
        return result

    def _reconnect(self, every: list[Allocation], classes: Classes, failures: Failures) -> None:
        result = self._result
        by_id = {one.id: one for one in every}
        for one in sorted(classes.reconnecting, key=by_index):
            if one.client_status == FAILED:
                result.stop(one, RECONNECTED_TEXT)
                continue
            others = replacements(one, by_id)
            strategy = own_group(one, self._group)
            if outdated(one, self._job) or not all(keeps_original(one, other, strategy) for other in others):
                result.stop(one, NOT_NEEDED)
                continue
            for other in others:
                if not other.is_terminal:
                    result.stop(other, RECONNECTED_TEXT)
            classes.untainted = _without(classes.untainted, others)
            classes.migrate = _without(classes.migrate, others)
            classes.lost = _without(classes.lost, others)
            self._now = _without(self._now, others)
            classes.untainted.append(one)
            result.updates["reconnect"] += 1
            state = AllocState(value="running", time=to_rfc3339(self._context.now_ns))
            result.changes[one.id] = AllocationChange(id=one.id, alloc_state=state)

    def _disconnect(self, classes: Classes, later: list[tuple[int, Allocation]], kept: list[Allocation]) -> None:
        """Mark allocations on unreachable nodes as unknown; replace them, now or later, if their policies allow it."""
        context, result, now_ns = self._context, self._result, self._context.now_ns
        timeouts = [(now_ns + after, one) for one in classes.disconnecting if (after := lost_after(self._own(one)))]
        if context.evaluation.triggered_by == DISCONNECT_TRIGGER:
            timeouts += self._still_to_come(kept)
        made, waits = given_up_later(context, self._group.name, timeouts)
        result.follow_ups += made
        state = AllocState(value=UNKNOWN, time=to_rfc3339(now_ns))
        for one in classes.disconnecting:
            result.updates["disconnect"] += 1
            result.changes[one.id] = AllocationChange(
                id=one.id,
                client_status=UNKNOWN,
                client_description=UNKNOWN_TEXT,
                alloc_state=state,
                followup_eval_id=waits.get(one.id),
            )
            at = None
            if replaced_when_unknown(self._own(one)):
                at = next_time(one, policy_of(one, self._group), now_ns)
            if at is not None and at - now_ns <= SOON_NS:
                self._now.append(one)
                result.updates["reschedule_now"] += 1
                continue
            if at is not None:
                later.append((at, one))
            self._held.append(one)

    def _still_to_come(self, kept: list[Allocation]) -> list[tuple[int, Allocation]]:
        """When unknown ones are lost for which this evaluation came too early: it was another's, or clocks differ."""
        found = []
        for one in kept:
            since, after = unknown_since(one), lost_after(self._own(one))
            if one.client_status == UNKNOWN and since is not None and after and since + after > self._context.now_ns:
                found.append((since + after, one))
        return found

    def _own(self, one: Allocation) -> TaskGroup:
        return own_group(one, self._group)

    def _stop_on_client(self, every: list[Allocation], classes: Classes) -> str:
        """The evaluation that placements wait for while clients without servers may still run lost allocations."""
        context = self._context
        for one in every:
            pending = one.client_status == LOST and one.followup_eval_id not in ("", context.evaluation.id)
            if pending and stop_after(self._own(one)) is not None and context.is_pending(one.followup_eval_id):
                return one.followup_eval_id
        stopping = [one for one in classes.lost if stop_after(self._own(one)) is not None and not should_reconnect(one)]
        if not stopping:
            return ""
        ends = [
            context.now_ns
            + (stop_after(self._own(one)) or 0)
            + max([_KILL_TIMEOUT_MIN, *(task.kill_timeout for task in self._own(one).tasks or ())])
            for one in stopping
        ]
        made = follow_up(context, max(ends), trigger="alloc-failure", text="", what=f"{self._group.name}/stopping")
        self._result.follow_ups.append(made)
        return made.id

    def _later(self, later: list[tuple[int, Allocation]]) -> None:
        result = self._result
        made, waits = rescheduled_later(self._context, self._group.name, later)
        result.follow_ups[:0] = made
        result.updates["reschedule_later"] += len(waits)
        for identifier, eval_id in waits.items():
            known = result.changes.get(identifier)
            result.changes[identifier] = AllocationChange(
                id=identifier,
                client_status=known.client_status if known else "",
                client_description=known.client_description if known else "",
                alloc_state=known.alloc_state if known else None,
                followup_eval_id=eval_id,
            )

    def _lose(self, lost: list[Allocation], waits: str) -> None:
        for one in lost:
            stopping = waits if stop_after(self._own(one)) is not None else ""
            self._result.stop(one, LOST_TEXT, status=LOST, follow_up=stopping)
