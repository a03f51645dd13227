"""The second half of a group: stops, updates, canaries, placements, deployment (spec scheduling §7.6–§7.9, §8.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from yurt.fsm.structs.allocation import FAILED, Allocation, DesiredTransition
from yurt.fsm.structs.deployment import DeploymentState
from yurt.fsm.structs.group import TaskGroup
from yurt.fsm.structs.job import Job
from yurt.scheduler.reconcile.deployments import Rollout, first_state, has_updates, with_totals
from yurt.scheduler.reconcile.names import Names, by_index, index_of
from yurt.scheduler.reconcile.result import MIGRATING, NOT_NEEDED, Context, GroupResult, Wanted
from yurt.scheduler.reconcile.updates import DESTRUCTIVE, IN_PLACE

_NO_TRANSITION = DesiredTransition()


@dataclass(slots=True)
class Standing:
    """A group's allocations after they were sorted. `held` are unknown ones whose places are kept.

    `waits` is the evaluation that all placements wait for, "" if none; `later` whether something is rescheduled later.
    """

    every: list[Allocation]
    untainted: list[Allocation]
    held: list[Allocation]
    migrate: list[Allocation]
    lost: list[Allocation]
    at_once: list[Allocation]
    canaries: list[Allocation]
    names: Names
    waits: str = ""
    later: bool = False
    destructive: list[Allocation] = field(default_factory=list)


def roll_out(
    context: Context, rollout: Rollout, job: Job, group: TaskGroup, standing: Standing, result: GroupResult
) -> None:
    """Decide what a group places, stops and changes."""
    _Roll(context, rollout, job, group, standing, result).run()


class _Roll:
    def __init__(
        self,
        context: Context,
        rollout: Rollout,
        job: Job,
        group: TaskGroup,
        standing: Standing,
        result: GroupResult,
    ) -> None:
        self._context, self._rollout, self._job, self._group = context, rollout, job, group
        self._standing, self._result = standing, result
        self._canary_ids = {one.id for one in standing.canaries}
        self._state: DeploymentState | None = rollout.state(group.name)
        self._trying = False  # canaries are there or about to come, and not promoted

    def run(self) -> None:
        """The steps in their order."""
        standing, result = self._standing, self._result
        self._stop_succeeded()
        self._stop_surplus()
        self._drop_failed_surplus()
        self._sort_updates()
        missing_canaries = self._missing_canaries()
        self._trying = self._canarying or missing_canaries > 0
        rescheduled, lost, new = self._placements()
        wanted = [*rescheduled, *lost, *new]
        self._begin_deployment(len(standing.destructive) + len(result.in_place) + len(wanted), missing_canaries)
        if missing_canaries and not self._rollout.is_paused and not self._rollout.is_failed:
            self._place_canaries(missing_canaries)
        self._place(rescheduled, lost, new)
        self._migrate()
        result.complete = self._is_complete(wanted, missing_canaries)

    @property
    def _canarying(self) -> bool:
        state = self._state
        return state is not None and state.desired_canaries > 0 and not state.promoted

    def _is_canary(self, one: Allocation) -> bool:
        return one.id in self._canary_ids and self._canarying

    # --- stops

    def _stop_succeeded(self) -> None:
        """Stop failed allocations whose names promoted canaries have already taken; they are not replaced once more."""
        standing = self._standing
        names = self._promoted_names()
        succeeded = [one for one in standing.at_once if one.name in names and one.id not in self._canary_ids]
        for one in succeeded:
            self._result.stop(one, NOT_NEEDED)
        ids = {one.id for one in succeeded}
        standing.at_once = [one for one in standing.at_once if one.id not in ids]

    def _promoted_names(self) -> set[str]:
        """The names of the promoted canaries that live."""
        if self._state is None or not self._state.promoted:
            return set()
        return {one.name for one in self._standing.canaries if not one.is_terminal}

    def _stop_surplus(self) -> None:
        """Stop what is over the count (spec §7.6)."""
        standing, count = self._standing, self._group.count
        untainted = [one for one in standing.untainted if not self._is_canary(one)]
        surplus = len(untainted) + len(standing.migrate) - count
        promoted = self._canary_ids if self._state is not None and self._state.promoted else set()
        names = {one.name for one in standing.canaries if one.id in promoted}
        by_canary = [one for one in untainted if one.name in names and one.id not in promoted]
        doubles = self._doubles(untainted)
        needless = {one.id for one in (*by_canary, *doubles)}
        # Unknown and failed ones are not counted, but whoever has another in its place already ends all the same.
        surplus = max(surplus, min(len(needless), surplus + len(standing.held) + len(standing.at_once)))
        if surplus <= 0:
            return
        migrate = sorted(standing.migrate, key=by_index, reverse=True)
        highest_first = sorted(untainted, key=by_index, reverse=True)
        above = [one for one in highest_first if index_of(one.name) >= count]
        chosen: dict[str, Allocation] = {}
        for one in (*by_canary, *migrate, *above, *doubles, *highest_first):
            if len(chosen) < surplus:
                chosen[one.id] = one
        for one in chosen.values():
            self._result.stop(one, NOT_NEEDED)
            standing.names.drop(one)
        standing.untainted = [one for one in standing.untainted if one.id not in chosen]
        standing.migrate = [one for one in standing.migrate if one.id not in chosen]

    @staticmethod
    def _doubles(allocations: list[Allocation]) -> list[Allocation]:
        """Second holders of a name, those of the older versions, the highest indexes first."""
        by_name: dict[str, list[Allocation]] = {}
        for one in sorted(allocations, key=by_index, reverse=True):
            by_name.setdefault(one.name, []).append(one)
        return [
            one
            for holders in by_name.values()
            for one in sorted(holders, key=lambda one: one.job.version if one.job else -1)[: len(holders) - 1]
        ]

    def _drop_failed_surplus(self) -> None:
        """Stop surplus failed allocations whose names other allocations hold; they are not replaced."""
        standing = self._standing
        counted = [one for one in (*standing.untainted, *standing.at_once) if not self._is_canary(one)]
        surplus = len(counted) + len(standing.held) + len(standing.migrate) - self._group.count
        names = {one.name for one in standing.untainted}
        second = [one for one in standing.at_once if one.name in names and not self._is_canary(one)]
        for one in sorted(second, key=by_index, reverse=True)[: max(0, surplus)]:
            self._result.stop(one, NOT_NEEDED)
            standing.names.drop(one)
            standing.at_once.remove(one)

    # --- updates

    def _sort_updates(self) -> None:
        standing, result = self._standing, self._result
        for one in sorted(standing.untainted, key=by_index):
            kind = self._context.kind(one, self._group)
            if kind == DESTRUCTIVE:
                standing.destructive.append(one)
            elif kind == IN_PLACE:
                result.in_place.append(one)
                result.updates["in_place_update"] += 1
            else:
                result.updates["ignore"] += 1
        result.updates["ignore"] += len(standing.held)

    # --- canaries

    def _missing_canaries(self) -> int:
        """How many canaries of the new version are still to come."""
        update, state = self._group.update, self._state
        if not has_updates(self._group) or update is None:
            return 0
        if state is not None and (state.promoted or not state.desired_canaries):
            return 0
        if not self._standing.destructive and not self._canarying:  # begun ones go on, whatever became of the old
            return 0
        living = {one.id for one in (*self._standing.untainted, *self._standing.at_once, *self._standing.held)}
        return max(0, update.canary - sum(one.id in living for one in self._standing.canaries))

    def _place_canaries(self, number: int) -> None:
        standing = self._standing
        self._result.updates["canary"] += number
        number = min(number, self._group.count)
        for name in standing.names.canaries(number, standing.canaries, standing.destructive):
            self._result.place.append(Wanted(name, self._group, self._job, canary=True))

    # --- placements

    def _placements(self) -> tuple[list[Wanted], list[Wanted], list[Wanted]]:
        """Rescheduled ones, replacements of lost ones, new ones."""
        standing, count = self._standing, self._group.count
        counted = [one for one in (*standing.untainted, *standing.at_once) if not self._is_canary(one)]
        existing = len(counted) + len(standing.held) + len(standing.migrate)
        rescheduled = [self._replacement(one, reschedule=True) for one in sorted(standing.at_once, key=by_index)]
        lost: list[Wanted] = []
        promoted = self._promoted_names()
        for one in sorted(standing.lost, key=lambda one: (one.name in promoted, by_index(one))):
            if existing < count:
                existing += 1
                lost.append(self._replacement(one))
            else:
                standing.names.drop(one)
        new = [Wanted(name, self._group, self._job) for name in standing.names.take(max(0, count - existing))]
        return rescheduled, lost, new

    def _replacement(self, one: Allocation, *, reschedule: bool = False) -> Wanted:
        """The same name again; while canaries are tried, what is no canary stays of its version."""
        group, job = self._group, self._job
        canary = self._is_canary(one)
        old_group = one.job.group(group.name) if one.job is not None else None
        if self._trying and not canary and one.job is not None and old_group is not None:
            group, job = old_group, one.job
        name = one.name if canary or self._trying else self._standing.names.unique(one.name)
        ends = one if reschedule and one.client_status != "unknown" and one.id not in self._result.changes else None
        return Wanted(name, group, job, previous=one, replaces=ends, canary=canary, reschedule=reschedule)

    def _place(self, rescheduled: list[Wanted], lost: list[Wanted], new: list[Wanted]) -> None:
        standing, result, rollout = self._standing, self._result, self._rollout
        ready = not (rollout.is_paused or rollout.is_failed or self._trying)
        if ready:
            placed = [*rescheduled, *lost, *new]
        else:
            placed = [one for one in rescheduled if not self._is_of_failed(one)] + lost
        limit = self._limit()
        if standing.waits:
            placed, limit = [], 0
        result.updates["place"] += len(placed)
        result.place += placed
        chosen = standing.destructive[: max(0, limit - len(placed))] if ready else []
        result.updates["destructive_update"] += len(chosen)
        result.updates["ignore"] += len(standing.destructive) - len(chosen)
        result.destructive = [
            Wanted(standing.names.unique(one.name), self._group, self._job, previous=one, replaces=one)
            for one in chosen
        ]

    def _is_of_failed(self, wanted: Wanted) -> bool:
        current = self._rollout.current
        failed = current is not None and self._rollout.is_failed
        return (
            failed and wanted.previous is not None and wanted.previous.deployment_id == (current.id if current else "")
        )

    def _limit(self) -> int:
        """How many destructive updates may begin (spec §7.9)."""
        standing, rollout = self._standing, self._rollout
        update = self._group.update
        if not has_updates(self._group) or update is None:
            return self._group.count
        if not standing.destructive and not standing.migrate:
            return self._group.count
        if rollout.current is None:
            return update.max_parallel
        limit = update.max_parallel
        for one in standing.untainted:
            if one.deployment_id != rollout.current.id:
                continue
            health = one.deployment_status.healthy if one.deployment_status is not None else None
            if health is False:
                return 0
            limit -= health is None
        return max(0, limit)

    def _migrate(self) -> None:
        for one in sorted(self._standing.migrate, key=by_index):
            transition = one.desired_transition or _NO_TRANSITION
            stays_away = self._context.batch and (transition.reschedule or transition.migrate_disable_placement)
            later = self._result.changes.pop(one.id, None)
            follow = (later.followup_eval_id if later else None) or ""
            self._result.stop(one, MIGRATING, follow_up=follow, counted=bool(stays_away))
            if not stays_away:
                self._result.updates["migrate"] += 1
                self._result.place.append(self._replacement(one))

    # --- the deployment

    def _begin_deployment(self, total: int, missing_canaries: int) -> None:
        job, group, rollout = self._job, self._group, self._rollout
        if self._context.batch or rollout.current is not None or not has_updates(group) or total == 0:
            return
        placed_before = any(
            one.job is not None and one.job.version == job.version and one.job.create_index == job.create_index
            for one in self._standing.every
        )
        if placed_before and not self._standing.destructive and not self._result.in_place:
            return
        canaries = group.update.canary if group.update is not None and missing_canaries else 0
        self._state = with_totals(first_state(group), total=min(total, group.count), canaries=canaries)
        rollout.states[group.name] = self._state

    def _is_complete(self, wanted: list[Wanted], missing_canaries: int) -> bool:
        standing, state = self._standing, self._state
        busy = wanted or standing.destructive or self._result.in_place or standing.migrate or missing_canaries
        if busy or standing.later or self._has_failed_ones():
            return False
        if state is None or not has_updates(self._group):
            return True
        healthy = state.healthy_allocs >= max(state.desired_total, state.desired_canaries)
        return healthy and (state.promoted or not state.desired_canaries)

    def _has_failed_ones(self) -> bool:
        """Whether failed allocations of the deployment wait for its watcher: nobody else would ask for them later."""
        current = self._rollout.current
        return current is not None and any(
            one.deployment_id == current.id and one.client_status == FAILED for one in self._standing.untainted
        )
