"""Assembly of a server: its engine, its state, its leader's duties, and its request handling.

Clock, chance, disk, threads and network are given, so that the same server runs as a process and on virtual time.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from yurt.fsm.errors import YurtError
from yurt.fsm.machine import Machine
from yurt.fsm.store.schema import WRAPPED_KEYS
from yurt.fsm.structs.variable import WrappedKey
from yurt.server.config.agent import AgentConfig, nanoseconds
from yurt.server.events.event_file import EventFile
from yurt.server.http.query.reads import Reads
from yurt.server.http.routing.dispatch import Dispatcher
from yurt.server.http.routing.forward import serve_forwarded
from yurt.server.keyring.encryption import FileKeeper
from yurt.server.keyring.keyring import Keyring
from yurt.server.keyring.keystore import Kept, Keystore, make_key
from yurt.server.leader.leader import Leader
from yurt.server.leader.lock_expirer import VariableLocks
from yurt.server.leader.periodic_dispatcher import PeriodicLaunches
from yurt.server.platform.supervision import Supervisor
from yurt.server.platform.turns import Turns
from yurt.server.raft.consensus import Consensus
from yurt.server.raft.core.configuration import cluster_id
from yurt.server.raft.core.engine import Engine
from yurt.server.raft.core.state import EngineConfig, Storage
from yurt.server.raft.peer import Peer, address_in
from yurt.server.raft.runtime import Runtime
from yurt.server.raft.storage.apart import Apart
from yurt.server.raft.storage.disk import Disk
from yurt.server.raft.storage.hard_state import HardStateFile
from yurt.server.raft.storage.journal import SEGMENT_BYTES, Journal
from yurt.server.raft.storage.snapshots import SnapshotStore
from yurt.server.raft.transport.transport import PeerTransport
from yurt.server.server import Server
from yurt.server.telemetry.audit import audit_log
from yurt.server.telemetry.metrics import Metrics
from yurt.server.telemetry.probes import measure_engine, measure_state
from yurt.server.telemetry.tracing import tracing

log = logging.getLogger("agent")

HAND_OVER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ground:
    """The environment a server runs in. `directory` holds all files outside the Raft log, on the machine's own disk."""

    disk: Disk
    directory: str
    runtime: Runtime
    chance: random.Random
    apart: Apart | None = None  # where snapshots are written; None: in `runtime`'s threads
    wall_clock_ns: Callable[[], int] = time.time_ns
    segment_bytes: int = SEGMENT_BYTES  # of the log's files
    make_key: Callable[[str], Kept] = make_key
    supervisor: Supervisor | None = None  # of the process; None: one of the server's own
    random_bytes: Callable[[int], bytes] = secrets.token_bytes  # of key-encryption keys and what is wrapped with them
    stopwatch: Callable[[], int] = time.perf_counter_ns  # nanoseconds, of the leader's slices of work
    loading: Callable[[], AbstractContextManager[None]] = nullcontext  # entered by the thread that loads a state

    def own_chance(self) -> random.Random:
        """A stream of its own for one part."""
        return random.Random(self.chance.random())


@dataclass(frozen=True, slots=True)
class Parts:
    """A server with everything around it."""

    server: Server
    leader: Leader
    periodic: PeriodicLaunches
    dispatcher: Dispatcher


def assemble_engine(
    own: Peer,
    config: AgentConfig,
    configuration: list[list[str]],
    transport: PeerTransport,
    ground: Ground,
    fatal: Callable[[BaseException], None],
) -> Engine:
    """An engine with the product's state machine, connected to its peers; it has read its disk and not started yet.

    `configuration` is the one that the cluster began with, in lists of ID, address and name. Raises OSError and
    `Corrupt`.
    """
    given, path, cluster = config.server, f"{ground.directory}/server/raft", cluster_id(configuration)
    journal = Journal(ground.disk, f"{path}/log", cluster, segment_bytes=ground.segment_bytes)
    journal.open()
    snapshots = SnapshotStore(ground.disk, f"{path}/snapshots", cluster, apart=ground.apart)
    snapshots.open()
    engine = Engine(
        own,
        config=EngineConfig(
            multiplier=given.raft_multiplier,
            snapshot_entries=max(1, given.raft_snapshot_threshold),
            snapshot_interval=nanoseconds(given.raft_snapshot_interval) / 1e9,
            trailing_entries=max(0, given.raft_trailing_logs),
        ),
        machine=Machine(),
        storage=Storage(journal, HardStateFile(ground.disk, path), snapshots),
        runtime=ground.runtime,
        chance=ground.own_chance(),
        send=transport.send_raft,
        fatal=fatal,
        loading=ground.loading,
    )
    engine.admission.is_vouched, engine.admission.asks_for_proof = transport.is_proven, transport.asks_for_proof
    transport.on_raft = engine.receive
    transport.members_of = lambda: engine.member_ids
    transport.address_of = lambda server_id: address_in(engine.configuration, server_id)
    transport.on_connected = engine.peer_connected
    transport.on_disconnected = engine.peer_disconnected
    return engine


def assemble_server(
    config: AgentConfig, engine: Consensus, transport: PeerTransport, metrics: Metrics, ground: Ground
) -> Parts:
    """The server of an engine, with its duties; nothing has started yet. Raises OSError."""
    machine = engine.machine
    assert isinstance(machine, Machine), "the product's own"
    measure_engine(metrics, engine, transport)
    server = Server(
        config,
        machine,
        engine,
        transport,
        metrics,
        wall_clock_ns=ground.wall_clock_ns,
        chance=ground.chance,
        supervisor=ground.supervisor,
        turns=Turns(lambda: ground.stopwatch() / 1e9),
    )
    measure_state(metrics, machine, server.in_turns)
    server.data_dir, server.tracing = ground.directory, tracing(config)
    is_durable = bool(config.data_dir)
    server.event_file = EventFile(server.events, f"{ground.directory}/server", sync=is_durable)
    engine.observe(lambda seconds: metrics.observe("yurt.fsm.apply.seconds", seconds), server.save_events)
    server.audit = audit_log(config.audit, ground.directory, metrics, server.supervisor)
    server.keyring, server.locks = _keyring(server, ground), VariableLocks(server)
    server.authority.keystore = server.keyring.keystore
    server.most_are_full = lambda: server.keyring.survey.most_are_full
    server.heartbeats.start()
    leader = Leader(server, ground.own_chance(), stopwatch=ground.stopwatch)
    dispatcher = _dispatcher(server, ground)
    return Parts(server, leader, PeriodicLaunches(server), dispatcher)


def _keyring(server: Server, ground: Ground) -> Keyring:
    """Root keys and what they are wrapped with; raises YurtError for a key-encryption key that cannot be read."""
    directory, is_durable = Path(ground.directory) / "server/keystore", bool(server.config.data_dir)
    sources = server.config.server.key_encryption_keys
    keeper = FileKeeper(directory, sources, sync=is_durable, random_bytes=ground.random_bytes)

    def in_state(key_id: str) -> WrappedKey | None:
        return server.view().get(WRAPPED_KEYS, key_id)

    return Keyring(server, Keystore(directory, keeper, in_state, sync=is_durable), keeper, ground.make_key)


async def hand_over(server: Server) -> None:
    """A leader that stops lets another one lead first, so that nobody waits for an election."""
    engine = server.engine
    if not engine.is_ready or sum(row["voter"] for row in engine.servers()) < 2:
        return
    try:
        successor = await server.transfer(None)
        log.info("leadership handed over", extra={"to": successor})
    except YurtError as error:
        log.warning("leadership could not be handed over", extra={"reason": str(error)})
        return
    await server.leader_known(HAND_OVER_SECONDS)  # from now on requests are handed to the successor


def _dispatcher(server: Server, ground: Ground) -> Dispatcher:
    limits = server.config.limits
    reads = Reads(
        waiters_max=limits.http_blocking_queries_max,
        waiters_max_per_client=limits.http_blocking_queries_max_per_client,
        jitter=ground.own_chance().random,
    )
    server.metrics.gauge("yurt.http.blocking_queries", lambda: float(reads.waiting))
    dispatcher = Dispatcher(server, reads)
    serve_forwarded(server, dispatcher.answer)
    return dispatcher
