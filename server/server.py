"""One server: configuration, state machine and engine, and what the API does with them."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from yurt.fsm import commands
from yurt.fsm.errors import Refusal, YurtError
from yurt.fsm.events import EventRing
from yurt.fsm.job.admit import Limits
from yurt.fsm.machine import BIRTH_INDEX, Applied, Broken, Machine, Refused
from yurt.fsm.store.view import View
from yurt.fsm.structs.times import to_rfc3339
from yurt.server.acl.authority import Authority
from yurt.server.cluster.alloc_updates import Reports
from yurt.server.config.agent import AgentConfig, size_bytes
from yurt.server.events.event_file import EventFile
from yurt.server.events.event_history import EventHistory
from yurt.server.keyring.survey import KeySurvey
from yurt.server.leader.autopilot import Autopilot
from yurt.server.leader.heartbeats import HeartbeatTimers
from yurt.server.platform.supervision import Supervised, Supervisor, supervisor_of
from yurt.server.platform.turns import Steps, Turns
from yurt.server.platform.tzdb import zone
from yurt.server.platform.worker_thread import Background
from yurt.server.raft.consensus import Callback, Consensus
from yurt.server.raft.errors import MostStoragesFull
from yurt.server.raft.transport.transport import PeerTransport
from yurt.server.snapshot.backup import Backup
from yurt.server.telemetry.audit import AuditLog
from yurt.server.telemetry.metrics import Metrics
from yurt.server.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from yurt.server.client.agent import NodeAgent
    from yurt.server.keyring.keyring import Keyring
    from yurt.server.leader.lock_expirer import VariableLocks


log = logging.getLogger("agent")


class InternalError(YurtError):
    """A bug broke a command; it changed nothing."""


def _nothing() -> None:
    """Until it is known."""


async def _collects_nothing() -> None:
    """Until the leader's duties take over."""


class AuthorizedRequest(Protocol):
    """A request whose rights are looked up each time."""

    def authorize(self, view: View) -> None:
        """Find out who asks and whether they may; raises Refusal(403)."""

    def allow(self, namespace: str, capability: str) -> None:
        """Go on if who asks has a capability; raises Refusal(403)."""


class Server:
    """The server, as handlers and duties know it."""

    most_are_full: Callable[[], bool] = staticmethod(lambda: False)  # whether most voters have no room for the log

    def __init__(
        self,
        config: AgentConfig,
        machine: Machine,
        engine: Consensus,
        transport: PeerTransport,
        metrics: Metrics,
        *,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        chance: random.Random | None = None,
        turns: Turns | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        self.config, self.machine, self.engine, self.transport = config, machine, engine, transport
        self.metrics = metrics
        self.supervisor = supervisor or supervisor_of(metrics)
        self._wall_clock_ns, self._chance = wall_clock_ns, chance or random.SystemRandom()
        self.data_dir = config.data_dir  # of -dev: the temporary one, as soon as it is known
        self.region, self.datacenter, self.name = config.region, config.datacenter, config.node_name
        self.limits = Limits(
            priority_default=config.server.job_default_priority,
            priority_max=config.server.job_max_priority,
            count_max=config.server.job_max_count,
            source_bytes_max=size_bytes(config.server.job_max_source_size),
            zones=zone,
        )
        self.authority = Authority(config.acl)
        self.versions_kept = config.server.job_tracked_versions
        self.started = to_rfc3339(self.now_ns())
        self.force_collection: Callable[[], Awaitable[None]] = _collects_nothing
        self._has_begun = False
        self.events = EventRing(config.server.event_buffer_size)
        if machine.index > BIRTH_INDEX:
            self.events.begin_at(machine.index)
        machine.on_applied(self.events.add)
        machine.on_replaced(self._state_replaced)
        machine.on_dissolved(lambda steps: self.in_turns(lambda: steps))
        self.event_file: EventFile | None = None  # of the agent that this is a part of
        self.event_history = EventHistory(self)
        self.heartbeats = HeartbeatTimers(self, random.Random(self._chance.random()))
        self.reports = Reports(self)
        self.keyring: Keyring  # of the agent that this is a part of
        self.locks: VariableLocks
        self.tls_to_nodes: Callable[[], ssl.SSLContext | None] = _nothing
        self.node_agent: NodeAgent | None = None  # of this process, if it is a node too
        self.audit: AuditLog | None = None
        self.tracing: Tracing | None = None
        self.autopilot = Autopilot(self)
        self._led: asyncio.Future[Any] | None = None
        self._changed: asyncio.Future[Any] | None = None
        self.backup = Backup(self)
        self.background = Background()
        self.turns = turns or Turns()
        self._passes: set[Supervised] = set()

    def start(self) -> None:
        """Begin what runs as long as the server."""
        self.autopilot.start()
        self.backup.start()
        self.keyring.start()
        self._has_begun = True
        self.event_history.start()

    def stop(self) -> None:
        """End what would wait for ever, and what looks after the cluster."""
        self.autopilot.stop()
        self.keyring.stop()
        self.locks.stop()
        self.event_history.stop()
        self.events.close()
        self.heartbeats.stop()
        for pass_at_work in list(self._passes):
            pass_at_work.stop()

    def close(self) -> None:
        """Release request resources. Call after the HTTP server has stopped."""
        self.background.close()
        if self.audit is not None:
            self.audit.close()
        if self.tracing is not None:
            self.tracing.stop()

    def _state_replaced(self, index: int, restored: bool) -> None:
        """Reset the event ring; refill it from the own disk or from peers unless an operator restored the state."""
        self.events.begin_at(index)
        if restored:
            self.event_history.leave()
            return
        if self.event_file is not None and not self._has_begun:  # the own disk's state: nothing waits for the loop yet
            self.event_file.refill(index)
        self.event_history.look()

    def in_turns(self, begin: Callable[[], Iterator[None]]) -> None:
        """Do long work in turns of the loop; at once before the start, when nothing waits for the loop.

        Work that breaks is begun anew after a pause: `begin` makes the same work again.
        """
        if not self._has_begun:
            deque(begin(), maxlen=0)
            return
        work = self.supervisor.start("turns", lambda: self.turns.run(_steps_of(begin())))
        self._passes.add(work)
        work.task.add_done_callback(lambda _task: self._passes.discard(work))

    @property
    def key_survey(self) -> KeySurvey:
        """Which server lacks which root keys, or room for its log."""
        return self.keyring.survey

    def save_events(self) -> None:
        """Write the newest events beside the newest snapshot."""
        if self.event_file is not None:
            self.event_file.save(self.machine.index)

    def now_ns(self) -> int:
        """The wall clock, nanoseconds since 1970."""
        return self._wall_clock_ns()

    def new_id(self) -> str:
        """A fresh UUID."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def view(self) -> View:
        """The newest state of this server."""
        return self.machine.view()

    async def propose(self, command: commands.Command) -> Any:
        """Commit a command and return its result.

        Raises Refusal (nothing changed, or not every server knows the command yet), NotLeader, Overloaded and
        StorageFull (surely not written), OutcomeUnknown.
        """
        if (needed := command.needs()) > 1 and needed > (known := self.version_known_by_all()):
            raise Refusal(
                500,
                f"the cluster is being upgraded: this needs command version {needed}, and a "
                f"server knows only {known}. Nothing was changed",
            )
        if self.tracing is None:
            return await self._proposed(command)
        with self.tracing.proposal(command):
            return await self._proposed(command)

    async def _proposed(self, command: commands.Command) -> Any:
        if self.most_are_full() and self.engine.is_leader_role:
            raise MostStoragesFull
        started = time.perf_counter()
        outcome = await self._engine(lambda done: self.engine.propose(commands.encode(command), done))
        self.metrics.sample("nomad.raft.commitTime", (time.perf_counter() - started) * 1000)
        match outcome:
            case Applied():
                return outcome.value
            case Refused():
                raise Refusal(outcome.status, outcome.text)
            case Broken():
                raise InternalError(f"internal error at index {outcome.index}; nothing was changed: {outcome.trace}")
        raise AssertionError("the machine has three outcomes")

    async def authorize(self, context: AuthorizedRequest) -> None:
        """Find out who asks, and whether they may, as of now; raises Refusal(403)."""
        context.authorize(self.view())

    async def permit(self, context: AuthorizedRequest, namespace: str, capability: str) -> None:
        """Go on if who asks has a capability; raises Refusal(403)."""
        context.allow(namespace, capability)

    def version_known_by_all(self) -> int:
        """The newest version of the log's vocabulary that every server of the configuration has said to know."""
        own, hellos = self.engine.own.id, self.transport.hellos
        others = [server_id for server_id, *_ in self.engine.configuration if server_id != own]
        known = [hellos[server_id].command_version if server_id in hellos else 1 for server_id in others]
        return min([commands.COMMAND_VERSION, *known])

    async def read_ready(self, *, quorum: bool = False) -> None:
        """Wait until a read of this server's state sees every acknowledged write (design: Reads).

        `quorum`: make sure by a majority, not by a lease. Raises NotLeader if no leader could be asked.
        """
        await self._engine(lambda done: self.engine.read(done, quorum=quorum))

    async def leader_known(self, seconds: float) -> None:
        """Wait until there is a leader to ask, or the time is up."""
        if self._led is None or self._led.done():  # one question for all who wait
            self._led = asyncio.ensure_future(self._engine(self.engine.when_led))
        await asyncio.wait((self._led,), timeout=seconds)

    def leader_changed(self) -> asyncio.Future[Any]:
        """Done when another server leads than the one known last; not to be cancelled: it is shared."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.ensure_future(self._engine(self.engine.when_leader_changes))
        return self._changed

    async def transfer(self, target: str | None) -> str:
        """Give the leadership to a server (None: to the furthest); its ID. Raises NotLeader, TransferFailed."""
        taken: str = await self._engine(lambda done: self.engine.transfer(target, done))
        return taken

    async def add_server(self, server_id: str, address: str, name: str) -> None:
        """Add a server as a learner that will vote; raises NotLeader, ChangeRefused, OutcomeUnknown."""
        await self._engine(lambda done: self.engine.add_server(server_id, address, name, done))

    async def remove_server(self, server_id: str) -> None:
        """Take a server out; raises NotLeader, ChangeRefused, OutcomeUnknown."""
        await self._engine(lambda done: self.engine.remove_server(server_id, done))

    async def restore_state(self, pieces: Sequence[bytes]) -> None:
        """Replace the state on every server; raises NotLeader, Overloaded, StorageFull, OutcomeUnknown."""
        await self._engine(lambda done: self.engine.restore_state(pieces, done))

    @staticmethod
    async def _engine(ask: Callable[[Callback], None]) -> Any:
        """Return the result that the engine passes to its callback."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done = partial(_finish, future)
        try:
            ask(done)
            return await future
        finally:
            del future, done  # an error's traceback has this frame: together they would wait for the collector

    @property
    def is_ready(self) -> bool:
        """Whether this server leads and has applied an entry of its own term."""
        return self.engine.is_ready

    @property
    def leader_address(self) -> str | None:
        """The leader's peer address."""
        return self.engine.leader_address

    def last_contact_ms(self) -> int:
        """Milliseconds since the leader was heard."""
        return min(int(self.engine.last_contact_seconds() * 1000), 2**53)


def _steps_of(steps: Iterator[None]) -> Steps[None]:
    yield from steps


def _finish(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if not future.done():
        future.set_exception(error) if error else future.set_result(result)
