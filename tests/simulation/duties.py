"""The product's scheduler and its leader's duties in a simulated cluster, with nodes that run what they are given.

Every server has the real `server.server.Server`, `Leader`, timers and watchers beside its engine, on virtual time; nodes
and clients speak to them through the real request dispatcher. After every command on every server: no node is given
more than it has, and no two allocations of one name and version are wanted at once. When the faults have ended: every
job has as many healthy allocations as it wants, and nothing waits.
"""

from __future__ import annotations

import math
import random
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from tests.simulation.cluster import Cluster
from tests.simulation.faults import KINDS
from tests.simulation.jobs import JobStore, Placed
from tests.simulation.world import Server as Host
from yurt.fsm import commands
from yurt.fsm.machine import Machine
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, EVALUATIONS, JOBS, NODES
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import Allocation
from yurt.fsm.structs.network import Network
from yurt.fsm.structs.node import (
    Driver,
    Node,
    NodeAddress,
    NodeCpu,
    NodeDisk,
    NodeMemory,
    NodeNetwork,
    NodeResources,
)
from yurt.fsm.structs.times import to_rfc3339
from yurt.scheduler.sizes import capacity, size_of
from yurt.server.config.agent import AgentConfig
from yurt.server.config.agent import Server as ServerBlock
from yurt.server.http.context import Answer, Context
from yurt.server.http.dispatch import Dispatcher
from yurt.server.http.reads import Reads
from yurt.server.leader import Leader
from yurt.server.metrics import Metrics
from yurt.server.periodic import PeriodicLaunches
from yurt.server.raft.engine import Engine
from yurt.server.raft.errors import NotSent
from yurt.server.server import Server
from yurt.server.testing.virtual.loop import VirtualLoop, forget_frozen_tasks

BIRTH_NS = 1_800_000_000_000_000_000
NODES_MIN, NODES_MAX, JOB_NAMES = 2, 5, ("web", "db", "batch", "agents")
FAULT_SECONDS, PEACE_SECONDS = 12.0, 240.0
FAULTS = tuple(name for name in KINDS if name not in ("rot", "forgetful witness", "musical chairs", "failing disk"))
CONFIG = AgentConfig(
    server=ServerBlock(enabled=True, min_heartbeat_ttl="1s", heartbeat_grace="1s", failover_heartbeat_ttl="4s")
)


class Front:
    """The engine as the product's server sees it: results are the state machine's own outcomes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def propose(self, payload: bytes, done: Callable[[Any, Exception | None], None]) -> None:
        def told(result: Any, error: Exception | None) -> None:
            done(result.outcome if isinstance(result, Placed) else result, error)

        self._engine.propose(payload, told)


class Peers:
    """In place of the peers' connections: everybody has the newest version; nothing is handed over here."""

    def __init__(self, cluster: Cluster) -> None:
        self.hellos = dict.fromkeys((one[0] for one in cluster.bootstrap), self)
        self.command_version = commands.COMMAND_VERSION

    def serve(self, _method: str, _handler: Any) -> None:
        pass

    async def call(self, _server_id: str, _method: str, _payload: bytes, *, timeout: float) -> bytes:
        raise NotSent(f"nothing is handed over here, within {timeout} s or ever")

    def members(self) -> list[dict[str, Any]]:
        return []


class Process(Server):
    """The product's server with clock and chance of the world."""

    def __init__(self, host: Host, engine: Engine, machine: Machine, chance: random.Random, jump: list[float]) -> None:
        self._host, self._ids, self._jump = host, random.Random(chance.random()), jump
        super().__init__(CONFIG, machine, Front(engine), Peers(host.cluster), Metrics())  # type: ignore[arg-type]
        self.heartbeats._chance = random.Random(chance.random())

    def now_ns(self) -> int:  # type: ignore[override]
        return BIRTH_NS + int((self._host.clock() + self._jump[0]) * 1e9)

    def new_id(self) -> str:  # type: ignore[override]
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))


class DutyCluster(Cluster):
    """A cluster whose servers have everything beside their engines."""

    def __init__(self, seed: int, size: int) -> None:
        self.processes: dict[str, tuple[int, Process, Dispatcher]] = {}
        self.errors: list[str] = []
        self.jumps: dict[str, list[float]] = {}
        self.commits = 0
        super().__init__(seed, size, settings={"keeps_jobs": True, "one_is_gone": False, "drift": 0.02})

    def new_machine(self) -> JobStore:
        return JobStore()

    def engine_made(self, server: Host, engine: Engine) -> None:
        assert isinstance(server.machine, JobStore)
        machine, chance = server.machine.machine, random.Random(self.world.chance.random())
        server.loop = VirtualLoop(server, self.errors)

        def begin() -> None:
            process = Process(server, engine, machine, chance, self.jumps.setdefault(server.name, [0.0]))
            Leader(process, random.Random(chance.random()), stopwatch=lambda: 0)
            PeriodicLaunches(process)
            dispatcher = Dispatcher(process, Reads(waiters_max=100, jitter=lambda: 0.5))
            machine.on_commit(lambda index, changes: self._check(machine, index, changes))
            self.processes[server.name] = (server.incarnation, process, dispatcher)

        server.do(begin)

    def _check(self, machine: Machine, index: int, changes: list[Change]) -> None:
        """What must hold after every command."""
        self.commits += 1
        touched = {one.new.node_id for one in changes if one.table is ALLOCATIONS and one.new is not None}
        jobs = {
            (one.new.namespace, one.new.job_id) for one in changes if one.table is ALLOCATIONS and one.new is not None
        }
        view = machine.view()
        for node_id in touched:
            node = view.get(NODES, node_id)
            if node is None:
                continue
            there = [one for one in view.find(ALLOCATIONS, "node", node_id) if not one.is_terminal]
            sizes = [size_of(one.allocated_resources) for one in there]
            room = capacity(node)
            over = [at for at in range(len(room)) if sum(size[at] for size in sizes) > room[at]]
            if over:
                self.errors.append(f"index {index}: {node_id} is over-committed by {[one.id for one in there]}")
        for key in jobs:
            wanted = Counter(
                (one.name, one.job.version if one.job is not None else 0, one.node_id if "agents" in one.name else "")
                for one in view.find(ALLOCATIONS, "live", key)
                if one.client_status in ("pending", "running")
                and not one.alloc_states  # one that was cut off may return
                and not _is_tried(view, one)  # a canary stands beside one that was updated in place
            )
            for name, count in wanted.items():
                if count > 1:
                    self.errors.append(f"index {index}: {count} allocations are {name} at once")

    def ask(
        self, host: Host, method: str, path: str, body: Any, done: Callable[[int, bytes], None], secret: str = ""
    ) -> None:
        """A request to a server's dispatcher; nothing comes back if the server ends meanwhile."""
        known = self.processes.get(host.name)
        if known is None or known[0] != host.incarnation or host.is_paused or host.engine is None:
            return
        _, process, dispatcher = known
        target, _, query = path.partition("?")
        data = b"" if body is None else msgspec.json.encode(body)
        headers = {b"x-nomad-token": secret.encode()} if secret else {}

        async def run() -> None:
            answer: Answer = await dispatcher.answer(Context(process, method, target, query.encode(), headers, data))
            done(answer.status, answer.body)

        def begin() -> None:
            assert host.loop is not None
            host.loop.create_task(run())

        host.mine(begin)()


class SimulatedNode:
    """A machine that runs what it is given: it says so a moment later, sometimes that it failed; it may be cut off."""

    def __init__(self, cluster: DutyCluster, number: int, pause: float = 0.5) -> None:
        self._cluster, self._world, self._pause = cluster, cluster.world, pause
        self.id = str(uuid.UUID(int=number + 1, version=4))
        self.silent_until = 0.0
        self.fails = True
        self._registered = self._busy = False
        self._known: dict[str, int] = {}
        self._states: dict[str, str] = {}  # allocation → what was told last, and was taken
        at = NodeNetwork(mode="host", device="lo", addresses=(NodeAddress(alias="default", address="127.0.0.1"),))
        self._node = Node(
            id=self.id, secret_id=f"{number:036d}", name=f"n{number}", datacenter="dc1",
            attributes={"kernel.name": "linux"},
            drivers={"mock_driver": Driver(detected=True, healthy=True)},
            node_resources=NodeResources(
                cpu=NodeCpu(cpu_shares=1000), memory=NodeMemory(memory_mb=1000), disk=NodeDisk(disk_mb=10_000),
                networks=(Network(mode="host", device="lo", ip="127.0.0.1", mbits=1000),), node_networks=(at,),
            ),
        )  # fmt: skip
        self._world.later(0.4 * pause * self._world.chance.random(), self._turn)

    @property
    def is_silent(self) -> bool:
        return self._world.time < self.silent_until

    def _turn(self) -> None:
        """Look and tell once a pause, unless it is cut off."""
        self._world.later(self._pause, self._turn)
        host = self._cluster.leader
        if self.is_silent or host is None:
            return
        if not self._registered:
            self._ask(host, "PUT", "Node.Register", {"Node": self._node}, self._was_registered)
            return
        self._ask(host, "PUT", "Node.UpdateStatus", {"NodeID": self.id, "Status": "ready"}, self._was_heard)
        self._ask(host, "GET", f"Node.GetClientAllocs?node_id={self.id}", None, self._was_told)

    def _ask(self, host: Host, method: str, name: str, body: Any, done: Callable[[int, bytes], None]) -> None:
        def told(status: int, answer: bytes) -> None:
            if not self.is_silent:
                done(status, answer)

        self._cluster.ask(host, method, f"/v1/agent-rpc/{name}", body, told, self._node.secret_id)

    def _was_registered(self, status: int, _body: bytes) -> None:
        self._registered = status == 200

    def _was_heard(self, status: int, body: bytes) -> None:
        if status == 500 and b"node not found" in body:
            self._registered = False

    def _was_told(self, status: int, body: bytes) -> None:
        host = self._cluster.leader
        if status != 200 or host is None:
            return
        ids = list(orjson.loads(body)["Allocs"])
        if ids:
            self._ask(host, "PUT", "Alloc.GetAllocs", {"NodeID": self.id, "AllocIDs": ids}, self._were_given)

    def _were_given(self, status: int, body: bytes) -> None:
        if status != 200:
            return
        allocations = msgspec.json.decode(orjson.dumps(orjson.loads(body)["Allocs"]), type=list[Allocation])
        updates = [update for one in allocations if (update := self._work(one)) is not None]
        host = self._cluster.leader
        if updates and host is not None:
            body_sent = {"NodeID": self.id, "Alloc": updates}
            self._ask(host, "PUT", "Node.UpdateAlloc", body_sent, lambda _status, _body: None)

    def _work(self, one: Allocation) -> dict[str, Any] | None:
        """What becomes of an allocation, as an update; None if there is nothing new."""
        now = BIRTH_NS + int((1000 + self._world.time) * 1e9)
        own = self._states.get(one.id, "pending")
        if one.is_server_terminal and own not in ("complete", "failed"):
            own = "complete"
        elif own == "pending" and not one.is_server_terminal:
            own = "running"
            if self.fails and self._world.chance.random() < 0.08:
                own = "failed"
        elif own == "running" and one.job_id == "batch" and self._world.chance.random() < 0.3:
            own = "complete"
        elif own == "running" and self.fails and self._world.chance.random() < 0.01:
            own = "failed"
        self._states[one.id] = own
        healthy = own == "running"
        has_health = one.deployment_status is not None and one.deployment_status.healthy is not None
        says_health = bool(one.deployment_id) and own in ("running", "failed") and not has_health
        if own == one.client_status and not says_health:
            return None
        update: dict[str, Any] = {"ID": one.id, "NodeID": self.id, "ClientStatus": own, "JobID": one.job_id}
        if own in ("failed", "complete"):
            state = {"State": "dead", "Failed": own == "failed", "FinishedAt": to_rfc3339(now)}
            update["TaskStates"] = {"t": state}
        if says_health:
            update["DeploymentStatus"] = {"Healthy": healthy, "Timestamp": to_rfc3339(now)}
        return update


def _is_tried(view: View, one: Allocation) -> bool:
    """Whether it is a canary that is not promoted."""
    if one.deployment_status is None or not one.deployment_status.canary:
        return False
    deployment = view.get(DEPLOYMENTS, one.deployment_id)
    return deployment is not None and not (deployment.task_groups or {})[one.task_group].promoted


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
        while self.world.time < FAULT_SECONDS:
            self._step()
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
        job = {"ID": name, "Type": kind, "Datacenters": ["dc1"], "TaskGroups": [group]}
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
        # What waits for a time of day waits longer if clocks were set back.
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
