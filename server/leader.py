"""The leader's duties, driven: evaluations are worked on, garbage is collected. Effects go through the log only."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import partial

from yurt.fsm.commands import ApplyPlan, Command, SetSchedulerConfiguration, UpdateEvaluations
from yurt.fsm.errors import YurtError
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import EVALUATIONS, SCHEDULER_CONFIG
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import CANCELED, FAILED, PENDING, Evaluation
from yurt.scheduler.cluster import Cluster
from yurt.scheduler.conclude import ATTEMPTS, exhausted
from yurt.scheduler.duties.broker import Broker
from yurt.scheduler.duties.gc import FORCED, Thresholds, collectable
from yurt.scheduler.duties.planner import checked, timed, unfinished
from yurt.scheduler.duties.token_gc import collectable_tokens
from yurt.scheduler.evaluate import evaluate
from yurt.scheduler.outcome import Outcome
from yurt.server.config.agent import nanoseconds
from yurt.server.drains import DrainWatcher
from yurt.server.evaluation_ends import EvaluationEnds
from yurt.server.heavy import Decided, HeavyEvaluations, decoded, is_heavy
from yurt.server.rollouts import Rollouts
from yurt.server.server import Server
from yurt.server.waiting import Waiting

log = logging.getLogger("leader")

SLICE = 32  # evaluations worked on in one turn of the loop
INFLIGHT_MAX = 8
FOLLOW_UP_NS = 60_000_000_000


class Leader:
    """Runs as long as this server leads; holds nothing that is not in the state."""

    def __init__(
        self, server: Server, chance: random.Random, *, stopwatch: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._server, self._chance, self._stopwatch = server, chance, stopwatch
        self._broker: Broker | None = None
        self._cluster: Cluster | None = None
        self._waiting = Waiting(server, self._wake, self._end_needless)
        self._watchers = (Rollouts(server), DrainWatcher(server))
        self._heavy = HeavyEvaluations()
        self._ends = EvaluationEnds(server)
        server.heartbeats.start()
        self._tries: dict[str, int] = {}  # evaluations whose plans were rejected
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._inflight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._collect_timer: asyncio.TimerHandle | None = None
        config = server.config.server
        self._thresholds = Thresholds(
            evaluation=nanoseconds(config.eval_gc_threshold),
            batch_evaluation=nanoseconds(config.batch_eval_gc_threshold),
            job=nanoseconds(config.job_gc_threshold),
            deployment=nanoseconds(config.deployment_gc_threshold),
            node=nanoseconds(config.node_gc_threshold),
        )
        self._token_threshold = nanoseconds(config.acl_token_gc_threshold)
        self._collect_seconds = nanoseconds(config.job_gc_interval) / 1e9
        server.machine.on_commit(self._committed)
        server.engine.on_leadership(self._leadership)
        server.force_collection = lambda: self._collect(FORCED)
        for name in ("ready", "unacked", "pending", "waiting"):
            server.metrics.gauge(f"nomad.nomad.broker.total_{name}", partial(self._count, name))

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
        loop = asyncio.get_running_loop()
        self._collect_timer = loop.call_later(self._collect_seconds, self._collect_regularly)

    def _end(self) -> None:
        log.info("this server no longer leads")
        self._broker = self._cluster = None
        self._heavy.stop()
        self._waiting.disable()
        for timer in (self._timer, self._collect_timer):
            if timer is not None:
                timer.cancel()

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
        """Take in every evaluation that waits."""
        self._broker = Broker(nack_seconds=math.inf)  # every worker is in this process, and ends with an ack or a nack
        for evaluation in self._server.view().find(EVALUATIONS, "status", PENDING):
            self._broker.enqueue(evaluation, self._now())
        self._waiting.enable()
        self._schedule()

    def _now(self) -> float:
        return self._server.now_ns() / 1e9

    # --- evaluations

    def _committed(self, index: int, changes: list[Change]) -> None:
        if self._cluster is not None:
            self._cluster.apply(index, changes)
        if not self._server.engine.is_leader_role:
            return
        for change in changes:
            new = change.new
            if change.table is EVALUATIONS and new is not None and new.status == PENDING:
                if self._broker is not None:
                    self._broker.enqueue(new, self._now())
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
            self._broker.wake(evaluation, self._now())
            self._schedule()

    def _end_needless(self, evaluations: list[Evaluation]) -> None:
        self._track(self._ends.store(evaluations, self._is_current(self._broker)))

    def _schedule(self) -> None:
        if not self._scheduled and self._inflight < INFLIGHT_MAX:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Work on a slice of what is ready, hand the decisions to the log in one command."""
        self._scheduled = False
        broker = self._broker
        if broker is None or self._inflight >= INFLIGHT_MAX:
            return
        plain: list[Evaluation] = []
        taken: list[str] = []
        now_ns = self._server.now_ns()
        while len(taken) < SLICE and (evaluation := broker.dequeue(now_ns / 1e9)) is not None:
            current = self._server.view().get(EVALUATIONS, evaluation.id)
            if current is None or current.is_terminal:
                self._acked(broker, evaluation.id)
                continue
            view = self._server.view()
            if is_heavy(view, current, columns := self._columns(view)):
                if not self._heavy.is_free:
                    broker.set_aside(evaluation.id)
                    continue
                try:
                    decided = self._heavy.begin(view, current, columns, now_ns)
                except OSError as error:
                    log.warning("no process for an evaluation; it is decided here", extra={"reason": str(error)})
                else:
                    self._track(self._propose_decided(broker, current, decided))
                    continue
            outcome = self._evaluate(current, now_ns)
            if outcome is None:
                broker.nack(evaluation.id, now_ns / 1e9)
            elif outcome.finds_no_room_again(current):
                self._wait_on(broker, current, outcome.snapshot_index)
            elif outcome.is_plain:
                taken.append(evaluation.id)
                plain.append(outcome.evaluation)
            else:
                self._spawn(outcome.commands(now_ns), [evaluation.id], _placed(outcome))
        if plain:
            self._spawn([UpdateEvaluations(now_ns=now_ns, evaluations=tuple(plain))], taken)
        if len(taken) == SLICE:
            self._schedule()
        self._fail_delivered(broker)
        self._set_timer(broker)

    async def _propose_decided(self, broker: Broker, evaluation: Evaluation, decided: asyncio.Future[Decided]) -> None:
        """Propose the plan that a child makes; the next child may begin as soon as this one has ended."""
        pieces: list[bytes] = []
        try:
            seen, pieces = await decided
        except (YurtError, OSError) as error:
            extra = {"evaluation": evaluation.id, "job": evaluation.job_id, "reason": str(error)}
            log.warning("an evaluation broke", extra=extra)
            broker.nack(evaluation.id, self._now())
        else:
            if not pieces:
                self._wait_on(broker, evaluation, seen)
        broker.offer_aside()
        self._schedule()
        if pieces:
            self._inflight += 1
            placed: list[Allocation] = []
            await self._propose(self._reserving(pieces, placed), [evaluation.id], placed)

    def _wait_on(self, broker: Broker, evaluation: Evaluation, seen: int) -> None:
        """There is still no room, as of index `seen`."""
        self._acked(broker, evaluation.id)
        self._waiting.block(replace(evaluation, snapshot_index=seen))

    def _reserving(self, pieces: list[bytes], placed: list[Allocation]) -> Iterator[ApplyPlan]:
        """The commands of a child; the room of what one places is taken, and noted in `placed`, at its turn."""
        for piece in pieces:
            command = decoded(piece)
            own = [one.allocation for one in command.placed]
            placed += own
            if self._cluster is not None:
                self._cluster.reserve(own)
            yield command

    def _track(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _evaluate(self, evaluation: Evaluation, now_ns: int) -> Outcome | None:
        """What an evaluation decides; None if a bug broke it: it is tried again, and fails at last."""
        view = self._server.view()
        started = self._stopwatch()
        try:
            outcome = evaluate(view, evaluation, now_ns=now_ns, cluster=self._columns(view))
            timed(outcome, self._stopwatch() - started)
            return outcome
        except Exception:
            log.exception("an evaluation broke", extra={"evaluation": evaluation.id, "job": evaluation.job_id})
            self._cluster = None
            return None

    def _columns(self, view: View) -> Cluster:
        """The nodes of the newest view with what is reserved for plans on their way."""
        if self._cluster is None or not self._cluster.is_of(view):
            self._cluster = Cluster.of(view)
        return self._cluster

    def _is_current(self, broker: Broker | None) -> Callable[[], bool]:
        """Whether the work that was begun with a broker is still this server's."""
        return lambda: broker is not None and broker is self._broker

    def _fail_delivered(self, broker: Broker) -> None:
        """Evaluations that failed too often end, with another try later."""
        for evaluation in broker.failed:
            later = FOLLOW_UP_NS + self._chance.randrange(300_000_000_000)
            follow_up = Evaluation(
                id=self._server.new_id(),
                namespace=evaluation.namespace,
                priority=evaluation.priority,
                type=evaluation.type,
                triggered_by="failed-follow-up",
                job_id=evaluation.job_id,
                status=PENDING,
                wait=later,
                previous_eval=evaluation.id,
            )
            ended = replace(
                evaluation,
                status=FAILED,
                status_description="evaluation reached delivery limit (3)",
                next_eval=follow_up.id,
            )
            self._track(self._ends.store((ended, follow_up), self._is_current(broker)))
        broker.failed.clear()

    def _set_timer(self, broker: Broker) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = broker.next_deadline()
        if deadline is not None:
            wait = max(0.01, deadline - self._now())
            self._timer = asyncio.get_running_loop().call_later(wait, self._schedule)

    def _spawn(
        self, commands: Sequence[Command], eval_ids: Sequence[str] = (), placed: Sequence[Allocation] = ()
    ) -> None:
        """Propose commands one after the other; the room of what they place is taken at once."""
        self._inflight += 1
        if placed and self._cluster is not None:
            self._cluster.reserve(placed)
        self._track(self._propose(commands, eval_ids, placed))

    async def _propose(
        self, commands: Iterable[Command], eval_ids: Sequence[str], placed: Sequence[Allocation]
    ) -> None:
        broker, rejected = self._broker, False
        try:
            for command in commands:
                fitting = command
                if isinstance(command, ApplyPlan) and self._cluster is not None:
                    fitting = checked(command, self._server.view(), self._cluster)
                    rejected = rejected or fitting is not command
                    if rejected:
                        fitting = unfinished(fitting)
                await self._server.propose(fitting)
        except YurtError as error:
            log.debug("a decision was not committed", extra={"reason": str(error)})
            for eval_id in eval_ids:
                if broker is not None:
                    broker.nack(eval_id, self._now())
        else:
            if broker is not None:
                if rejected:
                    self._round_again(broker, *eval_ids)
                else:
                    for eval_id in eval_ids:
                        self._tries.pop(eval_id, None)
                self._acked(broker, *eval_ids)
        finally:
            if placed and self._cluster is not None:
                self._cluster.release(placed, self._server.view())
            self._inflight -= 1
            self._schedule()

    def _round_again(self, broker: Broker, *eval_ids: str) -> None:
        """A part of the plan was rejected: the evaluation is worked on once more, but not for ever."""
        view = self._server.view()
        for eval_id in eval_ids:
            current = view.get(EVALUATIONS, eval_id)
            if current is None or current.is_terminal:
                continue
            tries = self._tries[eval_id] = self._tries.get(eval_id, 0) + 1
            if tries < ATTEMPTS.get(current.type, 5):
                broker.wake(current, self._now())
            else:
                self._spawn(exhausted(view, current).commands(self._server.now_ns()))

    def _acked(self, broker: Broker, *eval_ids: str) -> None:
        """They are done; what they make needless is canceled."""
        if needless := [one for eval_id in eval_ids for one in broker.ack(eval_id)]:
            self._cancel(needless)

    def _cancel(self, evaluations: list[Evaluation]) -> None:
        text = "canceled after more recent eval was processed"
        canceled = [replace(one, status=CANCELED, status_description=text) for one in evaluations]
        self._track(self._ends.store(canceled, self._is_current(self._broker)))

    # --- garbage

    def _collect_regularly(self) -> None:
        self._collect(self._thresholds)
        loop = asyncio.get_running_loop()
        self._collect_timer = loop.call_later(self._collect_seconds, self._collect_regularly)

    def _collect(self, thresholds: Thresholds) -> None:
        command = collectable(self._server.view(), self._server.now_ns(), thresholds)
        if not self._server.is_ready:
            return
        if command is not None:
            self._spawn([command])
        threshold = 0 if thresholds is FORCED else self._token_threshold
        if ended := collectable_tokens(self._server.view(), self._server.now_ns(), threshold):
            self._spawn(ended)


def _placed(outcome: Outcome) -> list[Allocation]:
    return [one.allocation for one in outcome.placed]
