"""A thousand nodes vanish at once, the leader with them; ten are left, and then all come back."""

from __future__ import annotations

import math
from typing import Any

import pytest

from yurt.fsm.store.schema import ALLOCATIONS, EVALUATIONS, NODES
from yurt.fsm.store.view import View
from yurt.fsm.structs.evaluation import BLOCKED
from yurt.server.testing.simulation.duties import DutyLife, SimulatedNode
from yurt.server.testing.simulation.faults import crash

VANISHING, LEFT = 1000, 10
JOBS, COUNT = 5, 200
ROOM = 12  # allocations of this size on one node
PAUSE = 2.5  # below the time that nodes are given after an election


class ManyNodes(DutyLife):
    """Its one fault is that nearly all nodes go."""

    def new_nodes(self) -> list[SimulatedNode]:
        return [SimulatedNode(self.cluster, number, PAUSE) for number in range(VANISHING + LEFT)]

    def _suffer(self) -> None:
        for node in self.nodes:
            node.fails = False
        self._wait_until(lambda view: self._ready(view) == len(self.nodes), "every node is ready")
        for number in range(JOBS):
            self._register(f"web-{number}")
        self._wait_until(lambda view: self._running(view) == JOBS * COUNT, "everything runs")
        for node in self.nodes[:VANISHING]:
            node.silent_until = math.inf
        crash(self.cluster, self._leader())
        self._wait_until(lambda view: self._ready(view) == LEFT, "the silent ones are down")
        self._wait_until(lambda view: self._running(view) == LEFT * ROOM, "those that are left are full")
        blocked = [one for one in self._view().scan(EVALUATIONS) if one.status == BLOCKED]
        assert len({one.job_id for one in blocked}) == JOBS, "each job waits for room"

    def _leader(self) -> Any:
        assert self.cluster.leader is not None
        return self.cluster.leader

    def _view(self) -> View:
        view: View = self._leader().machine.machine.view()
        return view

    def _wait_until(self, is_so: Any, what: str) -> None:
        end = self.world.time + 120
        while self.cluster.leader is None or not is_so(self._view()):
            assert self.world.time < end, f"120 s, and not yet so: {what}"
            second = self.world.time + 1
            while self.world.time < second:
                self._step()

    def _ready(self, view: View) -> int:
        return sum(one.is_ready for one in view.scan(NODES))

    def _running(self, view: View) -> int:
        return sum(one.client_status == "running" and not one.is_terminal for one in view.scan(ALLOCATIONS))

    def _register(self, name: str) -> None:
        task = {
            "Name": "t", "Driver": "mock_driver", "Resources": {"CPU": 1000 // ROOM, "MemoryMB": 20},
            "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1},
        }  # fmt: skip
        group = {"Name": "g", "Count": COUNT, "Tasks": [task], "EphemeralDisk": {"SizeMB": 20}}
        job = {"ID": name, "Datacenters": ["dc1"], "TaskGroups": [group], "Update": {"MaxParallel": 0}}
        self.cluster.ask(self._leader(), "PUT", "/v1/jobs", {"Job": job}, self._answered)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_nodes_vanish_and_return() -> None:
    ManyNodes(3).live()
