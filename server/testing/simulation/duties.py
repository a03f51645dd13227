"""The product's scheduler and its leader's duties in a simulated cluster, with nodes that run what they are given.

Every server has the real `Server`, `Leader`, timers and watchers beside its engine, on virtual time; nodes and
clients speak to them through the real request dispatcher. After every command on every server: no node is given more
than it has, and no two allocations of one name and version are wanted at once. When the faults have ended: every
job has as many healthy allocations as it wants, and nothing waits.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOBS, NODES
from yurt.fsm.store.view import View
from yurt.scheduler.sizes import capacity, size_of
from yurt.server.testing.simulation.duty_nodes import SimulatedNode
from yurt.server.testing.simulation.duty_servers import DutyCluster
from yurt.server.testing.simulation.faults import KINDS
from yurt.server.testing.simulation.jobs import JobStore
from yurt.server.testing.virtual.loop import forget_frozen_tasks

NODES_MIN, NODES_MAX, JOB_NAMES = 2, 5, ("web", "db", "batch", "agents")
FAULT_SECONDS, PEACE_SECONDS = 12.0, 240.0
STALLED, STALL_SECONDS = 0.1, (30.0, 90.0, 240.0)  # the part of the lives with a stalled machine: minutes cost time
FAULTS = tuple(name for name in KINDS if name not in ("rot", "forgetful witness", "musical chairs", "failing disk"))


def _full_for_agents(view: View) -> list[str]:
    """The ready nodes that have none of the system job, and no room for one."""
    job = view.get(JOBS, ("default", "agents"))
    if job is None or job.stop:
        return []
    needed = sum(task.resources.cpu for group in job.task_groups or () for task in group.tasks or () if task.resources)
    full = []
    for node in view.scan(NODES):
        there = [one for one in view.find(ALLOCATIONS, "node", node.id) if not one.is_terminal]
        used = sum(size_of(one.allocated_resources)[0] for one in there)
        if node.is_ready and not any(one.job_id == "agents" for one in there) and used + needed > capacity(node)[0]:
            full.append(node.name)
    return full


class DutyLife:
    """A seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.cluster = DutyCluster(seed, (1, 3, 3, 3, 5)[seed % 5])
        self.world, self.chance = self.cluster.world, self.cluster.world.chance
        self.nodes = self.new_nodes()
        self.faults = tuple(name for name in FAULTS if self.chance.random() < 0.35)
        self.counts: Counter[str] = Counter()
        self.gone: SimulatedNode | None = None  # for good, when peace comes
        self._next: dict[str, float] = {}
        self._until = FAULT_SECONDS
        self._stalls = random.Random(f"stalls of {seed}")  # apart: what else a seed draws does not move
        self._stall_at = self._stalls.uniform(3.0, FAULT_SECONDS) if self._stalls.random() < STALLED else math.inf

    def new_nodes(self) -> list[SimulatedNode]:
        """The machines that run allocations."""
        return [SimulatedNode(self.cluster, one) for one in range(self.chance.randrange(NODES_MIN, NODES_MAX + 1))]

    def live(self) -> DutyLife:
        """Raises AssertionError with the trace's end for what must not be."""
        try:
            self._suffer()
            self._recover()
        except AssertionError as error:
            trace = "\n".join(self.world.trace[-30:])
            raise AssertionError(f"seed {self.seed}: {error}\n{trace}") from error
        finally:
            forget_frozen_tasks(self.world)
        return self

    def _step(self) -> None:
        self.cluster.step()
        assert not self.cluster.errors, self.cluster.errors[0]

    def _suffer(self) -> None:
        while self.world.time < self._until:
            self._step()
            if self.world.time > self._stall_at:
                self._stall()
            if self.world.time > 1.0 and self._is_due("client", 0.5):
                self._client()
            if self.world.time > 3.0 and self._is_due("fault", 1.2):
                self._fault()

    def _is_due(self, name: str, seconds: float) -> bool:
        if self.world.time < self._next.get(name, 0.0):
            return False
        self._next[name] = self.world.time + 2 * seconds * self.chance.random()
        return True

    def _fault(self) -> None:
        kinds: list[Callable[[], None]] = [self._silence, self._silence_all, self._jump_clock]
        if self.faults and self.chance.random() < 0.6:
            name = self.chance.choice(self.faults)
            self.counts[name] += 1
            server = self.cluster.leader or self.chance.choice(list(self.cluster.servers.values()))
            KINDS[name][0](self.cluster, server)
            return
        kind = self.chance.choice(kinds)
        self.counts[kind.__name__.strip("_").replace("_", " ")] += 1
        kind()

    def _silence(self) -> None:
        node = self.chance.choice(self.nodes)
        node.silent_until = self.world.time + self.chance.choice((0.5, 3.0, 8.0))

    def _stall(self) -> None:
        """Let the machine of the leader or of a node stand still for minutes, while little is asked."""
        seconds, leader = self._stalls.choice(STALL_SECONDS), self.cluster.leader
        is_server = leader is not None and not leader.is_paused and self._stalls.random() < 0.5
        machine = leader if is_server and leader is not None else self._stalls.choice(self.nodes)
        until, self._stall_at = self.world.time + seconds, math.inf
        self._until += seconds
        self.counts["stalled server" if is_server else "stalled node"] += 1
        self.world.note(f"{machine} stands still until {until:.3f}")
        machine.pause()
        while self.world.time < until:
            self._step()
            if self._is_due("client", 5.0):
                self._client()
        machine.resume()

    def _silence_all(self) -> None:
        for node in self.nodes:
            node.silent_until = self.world.time + 6.0

    def _jump_clock(self) -> None:
        jump = self.cluster.jumps.get(self.chance.choice(list(self.cluster.servers)))
        if jump is not None:
            jump[0] += self.chance.choice((-120.0, -3.0, 3.0, 120.0))

    # --- clients

    def _client(self) -> None:
        host = self.cluster.leader
        if host is None:
            return
        name = self.chance.choice(JOB_NAMES)
        self.counts["client writes"] += 1
        if self.chance.random() < 0.1:
            self.cluster.ask(host, "DELETE", f"/v1/job/{name}", None, lambda _status, _body: None)
        else:
            self.cluster.ask(host, "PUT", "/v1/jobs", {"Job": self._job(name)}, self._answered)

    def _answered(self, status: int, body: bytes) -> None:
        self.counts[f"answered {status}"] += 1
        assert status in (200, 429, 500), (status, body)

    def _job(self, name: str) -> dict[str, Any]:
        chance = self.chance
        kind = {"batch": "batch", "agents": "system"}.get(name, "service")
        task = {
            "Name": "t", "Driver": "mock_driver", "Env": {"N": str(chance.randrange(3))},
            "Resources": {"CPU": chance.choice((50, 100, 150)), "MemoryMB": 20},
            "LogConfig": {"MaxFiles": 1, "MaxFileSizeMB": 1},
        }  # fmt: skip
        group: dict[str, Any] = {"Name": "g", "Tasks": [task], "EphemeralDisk": {"SizeMB": 20}}
        group["Count"] = 1 if kind == "system" else chance.randrange(1, 4)
        policy = {"Unlimited": True, "Delay": 5 * 10**9, "DelayFunction": "constant", "MaxDelay": 10**10}
        if kind == "service":
            group["ReschedulePolicy"] = policy
            if chance.random() < 0.3:
                group["Disconnect"] = {"LostAfter": 4 * 10**9}
        elif kind == "batch":
            group["ReschedulePolicy"] = policy
        group["RestartPolicy"] = {"Attempts": 0, "Mode": "fail", "Interval": 10**10, "Delay": 10**9}
        job: dict[str, Any] = {"ID": name, "Type": kind, "Datacenters": ["dc1"], "TaskGroups": [group]}
        if kind == "service" and chance.random() < 0.7:
            job["Update"] = {
                "MaxParallel": chance.choice((1, 2)), "MinHealthyTime": 0, "HealthyDeadline": 20 * 10**9,
                "ProgressDeadline": 30 * 10**9, "Canary": chance.choice((0, 0, 1)), "AutoPromote": True,
                "AutoRevert": False,
            }  # fmt: skip
            job["Update"]["AutoPromote"] = job["Update"]["Canary"] > 0
        return job

    # --- peace

    def _recover(self) -> None:
        self.cluster.calm()
        if len(self.nodes) > 2 and self.chance.random() < 0.3:
            self.gone = self.nodes[-1]
        for node in self.nodes:
            node.silent_until, node.fails = 0.0 if node is not self.gone else math.inf, False
        # Waits for a time of day take longer if clocks were set back.
        end = self.world.time + PEACE_SECONDS + 2 * max(abs(jump) for (jump,) in self.cluster.jumps.values())
        while self.world.time < end and (self.world.time % 1.0 > 0.02 or self._why_not() != ""):
            self._step()
        self.cluster.invariants.check_logs()
        assert self._why_not() == "", f"long after the faults ended: {self._why_not()}"

    def _why_not(self) -> str:
        """Why the cluster is not at rest; empty if it is."""
        leader = self.cluster.leader
        if leader is None or not isinstance(leader.machine, JobStore):
            return "nobody leads"
        view = leader.machine.machine.view()
        if waiting := [one for one in view.scan(EVALUATIONS) if one.status == "pending" and not one.wait_until]:
            return f"evaluations wait: {[(one.id, one.job_id, one.triggered_by) for one in waiting]}"
        full = _full_for_agents(view)
        # A system job's rollout waits for its deadline for the node that is gone, or has no room.
        waits = self.gone is not None or bool(full)
        rolls = [one for one in view.scan(DEPLOYMENTS) if one.is_active and not (waits and one.job_id == "agents")]
        if rolls:
            return f"deployments roll: {[(one.id, one.job_id) for one in rolls]}"
        gone = self.gone.id if self.gone is not None else ""
        if bad := [(one.name, one.status) for one in view.scan(NODES) if (one.status == "ready") is (one.id == gone)]:
            return f"nodes are not what they should be: {bad}"
        for job in view.scan(JOBS):
            live = [one for one in view.find(ALLOCATIONS, "live", (job.namespace, job.id)) if not one.is_terminal]
            running = [one for one in live if one.client_status == "running"]
            wanted = 0 if job.stop else sum(group.count for group in job.task_groups or ())
            if job.type == "system" and not job.stop:
                wanted = len(self.nodes) - (self.gone is not None) - len(full)
            if job.type == "batch":
                continue
            if len(running) != wanted or len(live) != wanted:
                failed = [
                    one for one in view.find(DEPLOYMENTS, "job", (job.namespace, job.id)) if one.status == "failed"
                ]
                if failed and not job.stop:
                    continue  # a rollout that failed stays where it is
                return f"{job.id} has {len(running)} of {wanted} ({[one.client_status for one in live]})"
        return ""


def run(seed: int) -> DutyLife:
    """Live through a seed."""
    return DutyLife(seed).live()
