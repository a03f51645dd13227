"""The TTLs of node heartbeats (leader only): expired nodes become down or disconnected (spec scheduling §9.1, §18)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from functools import partial

from yurt.fsm.commands_nodes import NodeStatus, UpdateNodeStatuses
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, NODES
from yurt.fsm.structs.allocation import RUN, Allocation
from yurt.fsm.structs.node import DISCONNECTED, DOWN
from yurt.scheduler.duties.heartbeats import Heartbeats
from yurt.server.config.agent import nanoseconds
from yurt.server.host import Host
from yurt.server.leader.proposals import Proposals

MISSED = "Node heartbeat missed"
NODES_PER_COMMAND_MAX = 500


class HeartbeatTimers:
    """The timers of all nodes while this server leads."""

    def __init__(self, server: Host, chance: random.Random) -> None:
        self._server, self._chance = server, chance
        self._proposals = Proposals(server)
        self._timers = self._fresh()
        self._wake: asyncio.TimerHandle | None = None
        self._leads = False

    def start(self) -> None:
        """Follow leadership and the state from now on."""
        self._server.engine.on_leadership(self._leadership)
        self._server.machine.on_commit(self._committed)
        self._server.metrics.gauge("nomad.nomad.heartbeat.active", lambda: float(len(self._timers)))

    def _fresh(self) -> Heartbeats:
        config = self._server.config.server
        return Heartbeats(
            ttl_min=nanoseconds(config.min_heartbeat_ttl) / 1e9,
            per_second_max=config.max_heartbeats_per_second,
            grace=nanoseconds(config.heartbeat_grace) / 1e9,
            failover_ttl=nanoseconds(config.failover_heartbeat_ttl) / 1e9,
        )

    def _leadership(self, leads: bool) -> None:
        self._leads = leads
        self._timers = self._fresh()
        self._set_timer()
        if leads:
            self._server.in_turns(partial(self._expect_all, self._timers))

    def _expect_all(self, timers: Heartbeats) -> Iterator[None]:
        """Expect every node that lives; nodes that were heard meanwhile have their times already."""
        view = self._server.view()
        view.pin()
        for key in view.keys(NODES):
            if timers is not self._timers:
                return
            node = self._server.view().get(NODES, key)
            if node is not None and node.status not in (DOWN, DISCONNECTED) and not timers.is_heard(key):
                timers.expect(key, asyncio.get_running_loop().time())
                self._set_timer()
            yield

    def beat(self, node_id: str) -> int:
        """A node was heard; answers in how many nanoseconds it should be heard again."""
        ttl = self._timers.beat(node_id, asyncio.get_running_loop().time(), self._chance.random())
        self._set_timer()
        return int(ttl * 1e9)

    def _committed(self, _index: int, changes: list[Change]) -> None:
        for change in changes:
            if change.table is not NODES:
                continue
            if change.new is None or change.new.status == DOWN:
                self._timers.forget(change.key)
            elif self._leads and change.new.status != DISCONNECTED and not self._timers.is_heard(change.key):
                # It was heard before it was marked as down, or by another leader: from now on it is missed here.
                self._timers.expect(change.key, asyncio.get_running_loop().time())
                self._set_timer()

    def _set_timer(self) -> None:
        deadline = self._timers.next_deadline() if self._leads else None
        if self._wake is not None:
            if deadline is not None and not self._wake.cancelled() and self._wake.when() <= deadline:
                return
            self._wake.cancel()
            self._wake = None
        if deadline is not None:
            wait = max(0.0, deadline - asyncio.get_running_loop().time())
            self._wake = self._server.supervisor.later("heartbeats", wait, self._look)

    def _look(self) -> None:
        self._wake = None
        missed = self._timers.missed(asyncio.get_running_loop().time())
        for start in range(0, len(missed), NODES_PER_COMMAND_MAX):
            try:
                self._miss(missed[start : start + NODES_PER_COMMAND_MAX])
            except Exception:
                self._missed_again(missed[start:])
                raise
        self._set_timer()

    def _miss(self, node_ids: list[str]) -> None:
        view, now_ns = self._server.view(), self._server.now_ns()
        statuses = []
        for node_id in node_ids:
            if view.get(NODES, node_id) is not None:
                waited_for = any(_is_waited_for(one) for one in view.find(ALLOCATIONS, "node", node_id))
                status = DISCONNECTED if waited_for else DOWN
                statuses.append(NodeStatus(node_id=node_id, status=status, event=MISSED))
        if statuses:
            command = UpdateNodeStatuses(now_ns=now_ns, statuses=tuple(statuses), seed=self._server.new_id())
            self._proposals.propose(command, lambda result: self._missed_again(node_ids) if result is None else None)

    def _missed_again(self, node_ids: list[str]) -> None:
        """The command was lost: the nodes are looked at again soon."""
        now = asyncio.get_running_loop().time()
        for node_id in node_ids:
            if self._leads:
                self._timers.beat(node_id, now, 0.0)
        self._set_timer()

    def stop(self) -> None:
        """Do nothing more."""
        self._leads = False
        self._set_timer()
        self._proposals.stop()


def _is_waited_for(allocation: Allocation) -> bool:
    """Whether its group wants to wait for a node that is cut off."""
    if allocation.desired_status != RUN or allocation.is_client_terminal or allocation.job is None:
        return False
    group = allocation.job.group(allocation.task_group)
    if group is None:
        return False
    return bool((group.disconnect and group.disconnect.lost_after) or group.max_client_disconnect)
