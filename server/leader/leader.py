"""The leader's duties, driven: evaluations are worked on, garbage is collected. Effects go through the log only."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing, nullcontext
from functools import partial

from yurt.fsm.commands import LATE_SINCE, ApplyPlan, Command, SetSchedulerConfiguration, UpdateEvaluations
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import EVALUATIONS, SCHEDULER_CONFIG
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import CANCELED, PENDING, Evaluation
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.conclude import ATTEMPTS, exhausted
from yurt.scheduler.duties.broker import Broker
from yurt.scheduler.duties.planner import checked, timed, unfinished
from yurt.scheduler.evaluate import evaluate
from yurt.scheduler.outcome import Outcome
from yurt.server.host import Host
from yurt.server.leader.blocked_evals import Waiting
from yurt.server.leader.columns import Columns
from yurt.server.leader.deployment_watcher import Rollouts
from yurt.server.leader.eval_reaper import EvaluationEnds, undeliverable
from yurt.server.leader.gc import Garbage
from yurt.server.leader.heavy_evals import (
    PLACEMENTS_AT_ONCE,
    PLACEMENTS_PER_CHILD,
    Decided,
    HeavyEvaluations,
    placements_of,
    reserving,
)
from yurt.server.leader.node_drainer import DrainWatcher

log = logging.getLogger("leader")

SLICE = 32  # evaluations looked at in one turn of the loop
SLICE_NS = 20_000_000  # after which no other is begun in it
INFLIGHT_MAX = 8
PLANS_AT_ONCE = 3  # of a child's: while one is synced another is looked at, and requests get their turn


class Leader:
    """Runs as long as this server leads; holds nothing that is not in the state."""

    def __init__(
        self, server: Host, chance: random.Random, *, stopwatch: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._server, self._chance, self._stopwatch = server, chance, stopwatch
        self._broker: Broker | None = None
        self._is_taking_in = False  # what waited before this server led; nothing is worked on until all of it is known
        self._columns = Columns(server, self._schedule)
        self._waiting = Waiting(server, self._wake, self._end_needless)
        self._watchers = (Rollouts(server), DrainWatcher(server))
        self._heavy = HeavyEvaluations()
        self._has_child = False  # which decides, or whose plans are not all proposed yet
        self._ends = EvaluationEnds(server)
        self._tries: dict[str, int] = {}  # evaluations whose plans were rejected
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._inflight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._garbage = Garbage(server)
        server.machine.on_commit(self._committed)
        server.engine.on_leadership(self._leadership)
        for name in ("ready", "unacked", "pending", "waiting"):
            server.metrics.gauge(f"nomad.nomad.broker.total_{name}", partial(self._count, name))
        server.metrics.gauge("nomad.nomad.plan.queue_depth", lambda: float(self._inflight))

    def _count(self, name: str) -> float:
        return float(self._broker.counts()[name]) if self._broker is not None else 0.0

    # --- leadership

    def _leadership(self, leads: bool) -> None:
        if leads:
            self._begin()
        else:
            self._end()

    def _begin(self) -> None:
        log.info("this server leads", extra={"term": self._server.engine.term})
        view = self._server.view()
        configuration = view.get(SCHEDULER_CONFIG, "")
        if configuration is None:
            command = SetSchedulerConfiguration(
                now_ns=self._server.now_ns(),
                configuration=self._server.config.server.default_scheduler_config.record(),
                cas=0,
            )
            self._spawn([command])
        if configuration is None or not configuration.pause_eval_broker:
            self._enable()
        self._garbage.start()

    def _end(self) -> None:
        log.info("this server no longer leads")
        self._broker = None
        self._columns.forget()
        self._heavy.stop()
        self._waiting.disable()
        self._garbage.stop()
        if self._timer is not None:
            self._timer.cancel()

    def stop(self) -> None:
        """Do nothing more."""
        self._broker = None
        self._heavy.stop()
        self._waiting.disable()
        for watcher in self._watchers:
            watcher.stop()
        for task in self._tasks:
            task.cancel()

    def _enable(self) -> None:
        """Take in every evaluation that waits, in turns of the loop; then begin to work."""
        self._broker = Broker(nack_seconds=math.inf)  # every worker is in this process, and ends with an ack or a nack
        self._is_taking_in = True
        self._waiting.enable()
        self._server.in_turns(partial(self._take_in, self._broker))

    def _take_in(self, broker: Broker) -> Iterator[None]:
        yield from self._waiting.take_in(self._is_current(broker))
        if broker is self._broker:
            self._is_taking_in = False
            self._schedule()

    @staticmethod
    def _now() -> float:
        """Seconds of a clock that never jumps."""
        return asyncio.get_running_loop().time()

    # --- evaluations

    def _committed(self, index: int, changes: list[Change]) -> None:
        self._columns.committed(index, changes)
        if not self._server.engine.is_leader_role:
            return
        for change in changes:
            new = change.new
            if change.table is EVALUATIONS and new is not None and new.status == PENDING:
                if self._broker is not None:
                    self._broker.enqueue(new, self._now(), self._server.now_ns() / 1e9)
                    self._schedule()
            elif change.table is SCHEDULER_CONFIG and new is not None and self._server.is_ready:
                if new.pause_eval_broker:
                    self._broker = None
                    self._waiting.disable()
                elif self._broker is None:
                    self._enable()
        self._waiting.committed(index, changes)

    def _wake(self, evaluation: Evaluation) -> None:
        if self._broker is not None:
            self._broker.wake(evaluation, self._now(), self._server.now_ns() / 1e9)
            self._schedule()

    def _end_needless(self, evaluations: list[Evaluation]) -> None:
        self._track(self._ends.store(evaluations, self._is_current(self._broker)))

    def _schedule(self) -> None:
        if not self._scheduled and self._inflight < INFLIGHT_MAX:
            self._scheduled = True
            self._server.supervisor.later("scheduling", 0.0, self._work)

    def _work(self) -> None:
        """Work on a slice of what is ready, hand the decisions to the log in one command."""
        self._scheduled = False
        broker = self._broker
        if broker is None or self._is_taking_in or self._inflight >= INFLIGHT_MAX:
            return
        cluster = self._columns.current()
        if cluster is None:  # they are made: then it goes on
            return
        taken: list[Evaluation] = []
        heavy: list[Evaluation] = []
        now_ns = self._server.now_ns()
        looked, until = 0, self._stopwatch() + SLICE_NS
        while looked < SLICE and self._stopwatch() < until and (evaluation := broker.dequeue(self._now())) is not None:
            looked += 1
            look = partial(self._look_at, broker, cluster, evaluation, heavy, now_ns)
            taken += self._unless_broken(broker, evaluation, look)
        if heavy:
            self._begin_child(broker, cluster, heavy, now_ns)
        if taken:
            command = UpdateEvaluations(now_ns=now_ns, evaluations=tuple(taken))
            self._spawn([command], [one.id for one in taken])
        if looked == SLICE or self._stopwatch() >= until:
            self._schedule()
        self._fail_delivered(broker)
        self._set_timer(broker)

    def _look_at(
        self, broker: Broker, cluster: Cluster, evaluation: Evaluation, heavy: list[Evaluation], now_ns: int
    ) -> list[Evaluation]:
        """Decide a small one as `_decide` does; add a large one to `heavy`, or set it aside for the next child."""
        view = self._server.view()
        current = view.get(EVALUATIONS, evaluation.id)
        if current is None or current.is_terminal:
            self._acked(broker, evaluation.id)
            return []
        size = placements_of(view, current, cluster)
        if size <= PLACEMENTS_AT_ONCE:
            return self._decide(broker, cluster, current, now_ns)
        room = PLACEMENTS_PER_CHILD - sum(placements_of(view, other, cluster) for other in heavy)
        if self._has_child or (heavy and size > room):
            broker.set_aside(evaluation.id)
        else:
            heavy.append(current)
        return []

    def _unless_broken(
        self, broker: Broker, evaluation: Evaluation, work: Callable[[], list[Evaluation]]
    ) -> list[Evaluation]:
        """Return the result of `work`; if a bug breaks it, nack and return []: it is retried, and fails at last."""
        try:
            return work()
        except Exception:
            log.exception("an evaluation broke", extra={"evaluation": evaluation.id, "job": evaluation.job_id})
            self._columns.doubt()
            broker.nack(evaluation.id, self._now())
            return []

    def _decide(self, broker: Broker, cluster: Cluster, evaluation: Evaluation, now_ns: int) -> list[Evaluation]:
        """Decide one and propose its plan; one without a plan that just changes is answered instead."""
        tracing = self._server.tracing
        with tracing.evaluation(evaluation) if tracing is not None else nullcontext():
            outcome = self._evaluate(cluster, evaluation, now_ns)
        if outcome.finds_no_room_again(evaluation):
            self._wait_on(broker, evaluation, outcome.snapshot_index)
        elif outcome.is_plain:
            return [outcome.evaluation]
        else:
            self._spawn(outcome.commands(now_ns), [evaluation.id], [one.allocation for one in outcome.placed])
        return []

    def _begin_child(self, broker: Broker, cluster: Cluster, heavy: list[Evaluation], now_ns: int) -> None:
        """Have a child decide them; without one the first is decided here."""
        view = self._server.view()
        try:
            decisions = self._heavy.begin(view, heavy, cluster, now_ns, self._stopwatch)
        except Exception as error:  # noqa: BLE001 (whatever it is: nothing that was taken is lost)
            log.warning("no process for an evaluation; it is decided here", extra={"reason": str(error)})
            for other in heavy[1:]:
                broker.set_aside(other.id)
            decide = partial(self._decide, broker, cluster, heavy[0], now_ns)
            if ended := self._unless_broken(broker, heavy[0], decide):
                self._spawn([UpdateEvaluations(now_ns=now_ns, evaluations=tuple(ended))], [heavy[0].id])
            broker.offer_aside()
            self._schedule()
        else:
            self._has_child = True
            self._track(self._propose_decided(broker, heavy, decisions))

    async def _propose_decided(
        self, broker: Broker, heavy: list[Evaluation], decisions: AsyncGenerator[Decided, None]
    ) -> None:
        """Propose the plans that a child makes. The next child begins when all are in the state that it will see."""
        left = {one.id: one for one in heavy}
        plans: set[asyncio.Task[None]] = set()
        try:
            async with aclosing(decisions):
                async for eval_id, seen, pieces in decisions:
                    if not pieces:
                        self._wait_on(broker, left[eval_id], seen)
                        del left[eval_id]
                        continue
                    if len(plans) == PLANS_AT_ONCE:
                        _, plans = await asyncio.wait(plans, return_when=asyncio.FIRST_COMPLETED)
                    placed: list[Allocation] = []
                    plan = reserving(pieces, placed, self._columns.reserve)
                    del left[eval_id]
                    self._inflight += 1
                    plans.add(self._track(self._propose(plan, [eval_id], placed)))
        except Exception as error:  # noqa: BLE001 (whatever it is: the evaluations are tried again)
            for place, one in enumerate(left.values()):
                if place:
                    broker.set_aside(one.id)
                else:
                    extra = {"evaluation": one.id, "job": one.job_id, "reason": str(error)}
                    log.warning("an evaluation broke", extra=extra)
                    broker.nack(one.id, self._now())
        finally:
            if plans:
                await asyncio.wait(plans)
            self._has_child = False
            if self._broker is not None:
                self._broker.offer_aside()
            self._schedule()

    def _wait_on(self, broker: Broker, evaluation: Evaluation, seen: int) -> None:
        """There is still no room, as of index `seen`."""
        self._acked(broker, evaluation.id)
        self._waiting.block(replace(evaluation, snapshot_index=seen))

    def _track(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self._tasks.add(task := self._server.supervisor.spawn("evaluations", work))
        task.add_done_callback(self._tasks.discard)
        return task

    def _evaluate(self, cluster: Cluster, evaluation: Evaluation, now_ns: int) -> Outcome:
        """Return the outcome of an evaluation, and sample the milliseconds that it took."""
        view, started = self._server.view(), self._stopwatch()
        outcome = evaluate(view, evaluation, now_ns=now_ns, cluster=cluster)
        elapsed = self._stopwatch() - started
        timed(outcome, elapsed)
        self._server.metrics.sample(f"nomad.nomad.worker.invoke_scheduler.{evaluation.type}", elapsed / 1e6)
        return outcome

    def _is_current(self, broker: Broker | None) -> Callable[[], bool]:
        """Whether the work that was begun with a broker is still this server's."""
        return lambda: broker is not None and broker is self._broker

    def _fail_delivered(self, broker: Broker) -> None:
        """Evaluations that failed too often end, with another try later."""
        for evaluation in broker.failed:
            ended = undeliverable(evaluation, self._server.new_id(), self._chance)
            self._track(self._ends.store(ended, self._is_current(broker)))
        broker.failed.clear()

    def _set_timer(self, broker: Broker) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if (deadline := broker.next_deadline()) is not None:
            wait = max(0.01, deadline - self._now())
            self._timer = asyncio.get_running_loop().call_later(wait, self._schedule)

    def _spawn(
        self, commands: Sequence[Command], eval_ids: Sequence[str] = (), placed: Sequence[Allocation] = ()
    ) -> None:
        """Propose commands one after the other; the room of what they place is taken at once."""
        self._columns.reserve(placed)
        self._inflight += 1
        self._track(self._propose(commands, eval_ids, placed))

    async def _propose(
        self, commands: Iterable[Command], eval_ids: Sequence[str], placed: Sequence[Allocation]
    ) -> None:
        broker, rejected = self._broker, False
        try:
            for command in commands:
                fitting = command
                if isinstance(command, ApplyPlan) and (cluster := self._columns.known) is not None:
                    started = self._stopwatch()
                    fitting = checked(command, self._server.view(), cluster)
                    self._server.metrics.sample("nomad.nomad.plan.evaluate", (self._stopwatch() - started) / 1e6)
                    self._server.metrics.count("nomad.nomad.plan.node_rejected", by=float(fitting is not command))
                    rejected = rejected or fitting is not command
                    if rejected:
                        fitting = unfinished(fitting)
                    if fitting.placed and self._server.version_known_by_all() >= LATE_SINCE:
                        fitting = replace(fitting, evaluates_late=True)
                await self._server.propose(fitting)
            if broker is not None:
                self._proposed(broker, eval_ids, rejected=rejected)
        except Exception as error:  # noqa: BLE001 (whatever it is: the evaluations are tried again)
            self._server.supervisor.noted("evaluations", error)
            for eval_id in eval_ids:
                if broker is not None:
                    broker.nack(eval_id, self._now())
        finally:
            self._inflight -= 1
            self._schedule()
            self._columns.release(placed)

    def _proposed(self, broker: Broker, eval_ids: Sequence[str], *, rejected: bool) -> None:
        """The commands of evaluations are committed; those whose plans were cut down go round again."""
        if rejected:
            self._round_again(broker, *eval_ids)
        for eval_id in () if rejected else eval_ids:
            self._tries.pop(eval_id, None)
        self._acked(broker, *eval_ids)

    def _round_again(self, broker: Broker, *eval_ids: str) -> None:
        """A part of the plan was rejected: the evaluation is worked on once more, but not for ever."""
        view = self._server.view()
        for eval_id in eval_ids:
            current = view.get(EVALUATIONS, eval_id)
            if current is None or current.is_terminal:
                continue
            tries = self._tries[eval_id] = self._tries.get(eval_id, 0) + 1
            if tries < ATTEMPTS.get(current.type, 5):
                broker.wake(current, self._now(), self._server.now_ns() / 1e9)
            else:
                self._spawn(exhausted(view, current).commands(self._server.now_ns()))

    def _acked(self, broker: Broker, *eval_ids: str) -> None:
        """They are done; what they make needless is canceled."""
        if needless := [evaluation for eval_id in eval_ids for evaluation in broker.ack(eval_id)]:
            text = "canceled after more recent eval was processed"
            canceled = [replace(evaluation, status=CANCELED, status_description=text) for evaluation in needless]
            self._track(self._ends.store(canceled, self._is_current(self._broker)))
