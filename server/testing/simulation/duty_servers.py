"""Simulated servers with the scheduler and leader's duties beside their engines, checked after each command."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from yurt.fsm import commands
from yurt.fsm.machine import Machine
from yurt.fsm.store.changes import Change
from yurt.fsm.store.schema import ALLOCATIONS, DEPLOYMENTS, NODES
from yurt.fsm.store.view import View
from yurt.fsm.structs.allocation import Allocation
from yurt.scheduler.sizes import capacity, size_of
from yurt.server.config.agent import AgentConfig
from yurt.server.config.agent import Server as ServerBlock
from yurt.server.http.asgi.context import Answer, Context
from yurt.server.http.query.reads import Reads
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.leader.leader import Leader
from yurt.server.leader.periodic_dispatcher import PeriodicLaunches
from yurt.server.platform.turns import Turns
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.errors import NotSent
from yurt.server.server import Server
from yurt.server.telemetry.metrics import Metrics
from yurt.server.testing.simulation.cluster import Cluster
from yurt.server.testing.simulation.jobs import JobStore, Placed
from yurt.server.testing.simulation.world import Server as Host
from yurt.server.testing.virtual.loop import VirtualLoop

BIRTH_NS = 1_800_000_000_000_000_000
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
        self._cluster = cluster
        self.command_version = commands.COMMAND_VERSION

    @property
    def hellos(self) -> dict[str, Peers]:
        """The greetings of all servers, of those with replaced disks too."""
        return dict.fromkeys(self._cluster.servers, self)

    def serve(self, _method: str, _handler: Any) -> None:
        pass

    serve_asker = serve

    async def call(self, _server_id: str, _method: str, _payload: bytes, *, timeout: float) -> bytes:
        raise NotSent(f"nothing is handed over here, within {timeout} s or ever")

    def members(self) -> list[dict[str, Any]]:
        return []


class Process(Server):
    """The product's server with clock and chance of the world."""

    def __init__(self, host: Host, engine: Engine, machine: Machine, chance: random.Random, jump: list[float]) -> None:
        self._host, self._ids, self._jump = host, random.Random(chance.random()), jump
        parts = (machine, Front(engine), Peers(host.cluster), Metrics())
        super().__init__(CONFIG, *parts, turns=Turns(lambda: 0.0))  # type: ignore[arg-type]
        self.heartbeats._chance = random.Random(chance.random())

    def now_ns(self) -> int:
        return BIRTH_NS + int((self._host.clock() + self._jump[0]) * 1e9)

    def new_id(self) -> str:
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
        server.loop = VirtualLoop(server, self.errors)  # type: ignore[abstract]  # what is not there says so when asked

        def begin() -> None:
            process = Process(server, engine, machine, chance, self.jumps.setdefault(server.name, [0.0]))
            process.heartbeats.start()
            Leader(process, random.Random(chance.random()), stopwatch=lambda: 0)
            PeriodicLaunches(process)
            dispatcher = Dispatcher(process, Reads(waiters_max=100, jitter=lambda: 0.5))
            machine.on_commit(lambda index, changes: self._check(machine, index, changes))
            self.processes[server.name] = (server.incarnation, process, dispatcher)

        server.do(begin)

    def _check(self, machine: Machine, index: int, changes: list[Change]) -> None:
        """Check what must hold after every command: no node over-committed, no allocation there twice."""
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
            done(answer.status, await answer.whole(process.turns, ""))

        def begin() -> None:
            assert host.loop is not None
            host.loop.create_task(run())

        host.mine(begin)()


def _is_tried(view: View, one: Allocation) -> bool:
    """Whether it is a canary that is not promoted."""
    if one.deployment_status is None or not one.deployment_status.canary:
        return False
    deployment = view.get(DEPLOYMENTS, one.deployment_id)
    return deployment is not None and not (deployment.task_groups or {})[one.task_group].promoted
