"""The leader's blocked evaluations: what happens to nodes and allocations wakes them (spec scheduling §4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS, NODES
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.base import replace
from yurt.fsm.structs.evaluation import BLOCKED, CANCELED, COMPLETE, PENDING, Evaluation
from yurt.fsm.structs.node import Node
from yurt.scheduler.duties.blocked import Blocked
from yurt.server.host import Host
from yurt.server.leader.eval_reaper import open_evaluations
from yurt.server.platform.turns import Steps

RETRY_SECONDS, PRUNE_SECONDS = 60.0, 300.0
Wake = Callable[[Evaluation], None]
Cancel = Callable[[list[Evaluation]], None]


class Waiting:
    """The tracker while the broker works; `wake` hands an evaluation to the broker, `cancel` ends needless ones."""

    def __init__(self, server: Host, wake: Wake, cancel: Cancel) -> None:
        self._server, self._wake, self._cancel = server, wake, cancel
        self._blocked: Blocked | None = None
        self._unblocked: Blocked | None = None  # by a pass that goes on
        self._timers: dict[float, asyncio.TimerHandle] = {}  # by their intervals
        self._moved_on = 0  # the index up to which room may have come before this server led
        for name in ("blocked", "escaped"):
            server.metrics.gauge(f"nomad.nomad.blocked_evals.total_{name}", partial(self._count, name))

    def _count(self, name: str) -> float:
        return float(self._blocked.counts()[name]) if self._blocked is not None else 0.0

    def enable(self) -> None:
        """Begin to track; `take_in` follows."""
        self.disable()
        self._blocked = Blocked()
        view = self._server.view()
        self._moved_on = max(view.table_index(NODES), view.table_index(ALLOCATIONS))
        self._every(RETRY_SECONDS, self._retry)
        self._every(PRUNE_SECONDS, self._prune)

    def take_in(self, is_current: Callable[[], bool]) -> Iterator[None]:
        """Wake all that are pending, and those blocked ones for which room may have come; track the others."""
        for evaluation in chain(open_evaluations(self._server, PENDING), open_evaluations(self._server, BLOCKED)):
            if not is_current():
                return
            if evaluation is None:
                pass  # gives way
            elif evaluation.status == BLOCKED and evaluation.snapshot_index >= self._moved_on:
                self.block(evaluation)
            else:
                self._wake(evaluation)
            yield

    def disable(self) -> None:
        """Forget everything."""
        self._blocked = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        blocked = self._blocked

        def again() -> None:
            if self._blocked is blocked:
                work()
                self._every(seconds, work)

        self._timers[seconds] = self._server.supervisor.later(
            "blocked evaluations", seconds, again, name=f"{seconds:.0f} s"
        )

    def _retry(self) -> None:
        if self._blocked is not None:
            for evaluation in self._blocked.unblock_tried():
                self._wake(evaluation)

    def _prune(self) -> None:
        if self._blocked is not None:
            self._blocked.prune(asyncio.get_running_loop().time())

    def block(self, evaluation: Evaluation) -> None:
        """Let an evaluation wait, unless there was room since it looked."""
        if self._blocked is None:
            return
        if (missed := self._blocked.block(evaluation)) is not None:
            self._wake(missed)
        if self._blocked.duplicates:
            text = f'existing blocked evaluation exists for job "{evaluation.job_id}"'
            needless = [
                replace(current, status=CANCELED, status_description=text)
                for one in self._blocked.duplicates
                if (current := self._server.view().get(EVALUATIONS, one.id)) is not None and current.status == BLOCKED
            ]
            self._blocked.duplicates.clear()
            if needless:
                self._cancel(needless)

    def committed(self, index: int, changes: list[Change]) -> None:
        """Take a commit in."""
        if self._blocked is None:
            return
        for change in changes:
            if change.table is EVALUATIONS:
                self._evaluation(change.old, change.new)
            elif change.table is NODES and change.new is not None:
                if change.new.is_ready and _offers_more(change.old, change.new):
                    self._freed(change.new, index)
            elif change.table is ALLOCATIONS and _ended(change.old, change.new):
                node = self._server.view().get(NODES, change.old.node_id)
                if node is not None:
                    self._freed(node, index)
        self._unblock()

    def _evaluation(self, old: Evaluation | None, new: Evaluation | None) -> None:
        assert self._blocked is not None
        if new is not None and new.status == BLOCKED:
            self.block(new)
        elif old is not None and (new is None or new.is_terminal):
            self._blocked.forget(old)
        if new is not None and new.status == COMPLETE and not new.failed_tg_allocs:
            self._blocked.untrack(new.namespace, new.job_id)

    def _freed(self, node: Node, index: int) -> None:
        assert self._blocked is not None
        self._blocked.free(node.computed_class, node.id, index, asyncio.get_running_loop().time())

    def _unblock(self) -> None:
        """Wake those that may use the room that came, in turns if many wait."""
        blocked = self._blocked
        if blocked is None or not blocked.has_room or self._unblocked is blocked:
            return
        self._unblocked = blocked
        steps = self._waking(blocked)
        if self._server.turns.begin(steps) is None:
            self._server.in_turns(lambda: self._go_on(blocked, steps))

    def _go_on(self, blocked: Blocked, steps: Steps[None]) -> Iterator[None]:
        yield from steps
        if blocked.has_room:  # a pass broke: the room is looked at again
            self._unblock()

    def _waking(self, blocked: Blocked) -> Steps[None]:
        """Wake evaluations, given up when another tracker takes the place of this one."""
        try:
            for evaluation in blocked.unblock():
                if evaluation is not None:
                    self._wake(evaluation)
                yield
                if blocked is not self._blocked:
                    return
        finally:
            if self._unblocked is blocked:
                self._unblocked = None


def _offers_more(old: Node | None, new: Node) -> bool:
    """Whether a ready node may take what it could not take before: it is new, back, or another than it was."""
    if old is None or not old.is_ready:
        return True
    return any(getattr(old, name) != getattr(new, name) for name in _OFFERED)


_OFFERED = ("computed_class", "meta", "attributes", "drivers", "host_volumes", "node_resources", "reserved_resources")


def _ended(old: Allocation | None, new: Allocation | None) -> bool:
    """Whether an allocation gave back what it had."""
    return old is not None and not old.is_client_terminal and (new is None or new.is_client_terminal)
