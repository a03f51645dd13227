"""The agent: configuration in, a running server out; stopped by SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from yurt import __version__
from yurt.fsm.commands import COMMAND_VERSION
from yurt.fsm.errors import YurtError
from yurt.fsm.machine import Machine
from yurt.server.address import join_address
from yurt.server.audit import audit_log
from yurt.server.client.start import agent_beside, run_alone
from yurt.server.config.agent import AgentConfig, nanoseconds, seconds
from yurt.server.event_file import EventFile
from yurt.server.faults import disk_of, faults_asked_for
from yurt.server.http.app import App
from yurt.server.http.dispatch import Dispatcher
from yurt.server.http.forward import serve_forwarded
from yurt.server.http.reads import Reads
from yurt.server.http.serve import HttpServer, bind
from yurt.server.joining import Joining
from yurt.server.keyring import Keyring
from yurt.server.keystore import Keystore
from yurt.server.leader import Leader
from yurt.server.logfile import RotatingFile
from yurt.server.logs import start_logging
from yurt.server.measures import measure_engine, measure_state
from yurt.server.metrics import Metrics
from yurt.server.periodic import PeriodicLaunches
from yurt.server.raft.apart import Forked
from yurt.server.raft.connection import Hello
from yurt.server.raft.datadir import DataDirectory
from yurt.server.raft.engine import Engine, cluster_id
from yurt.server.raft.forming import form, store_configuration, stored_configuration
from yurt.server.raft.frame import Peer
from yurt.server.raft.hardstate import HardStateFile
from yurt.server.raft.journal import Journal
from yurt.server.raft.recover import recover_if_asked
from yurt.server.raft.runtime import AsyncioRuntime
from yurt.server.raft.snapshots import SnapshotStore
from yurt.server.raft.state import EngineConfig, Storage
from yurt.server.raft.transport import PeerTransport
from yurt.server.reload import Reread, reload_at_hangup
from yurt.server.server import Server
from yurt.server.tls import TlsFiles
from yurt.server.tracing import tracing
from yurt.server.variable_locks import VariableLocks

log = logging.getLogger("agent")

SWITCH_SECONDS = 0.0005  # the disk thread gets the interpreter back soon after a sync (docs/decisions/0004)
HAND_OVER_SECONDS = 1.0
COLLECT_EVERY = 50_000  # allocations between two young collections; full ones are left to the freeze after loading


def run(config: AgentConfig, reread: Reread) -> int:
    """Run until a signal; the exit code: 0 after a clean stop, 1 if the engine had to end the process.

    `reread` gives the configuration anew at each SIGHUP.
    """
    start_logging(config.log_level, json=config.log_json, file=_log_file(config))
    sys.setswitchinterval(SWITCH_SECONDS)
    with _directory(config) as path:
        if not config.server.enabled:
            return asyncio.run(run_alone(config, path, reread))
        directory = DataDirectory(path)
        server_id = directory.open()
        try:
            try:
                import uvloop

                return uvloop.run(_Agent(config, path, server_id, reread).run())
            except ImportError:
                return asyncio.run(_Agent(config, path, server_id, reread).run())
        finally:
            directory.close()


def _log_file(config: AgentConfig) -> RotatingFile | None:
    """Where log lines go beside stderr; raises OSError if that cannot be written."""
    if not config.log_file:
        return None
    return RotatingFile(
        config.log_file,
        bytes_max=config.log_rotate_bytes,
        seconds_max=nanoseconds(config.log_rotate_duration) / 1e9,
        files_max=config.log_rotate_max_files,
    )


@contextlib.contextmanager
def _directory(config: AgentConfig) -> Iterator[str]:
    """The data directory; without one (-dev) a temporary one that goes with the process."""
    if config.data_dir:
        yield config.data_dir
    else:
        with tempfile.TemporaryDirectory(prefix="yurt-dev-") as path:
            yield path


class _Agent:
    """Everything of one server process."""

    def __init__(self, config: AgentConfig, path: str, server_id: str, reread: Reread) -> None:
        self.config, self.path, self.server_id, self.reread = config, path, server_id, reread
        self.tls = TlsFiles(config.tls)
        self.raft_path = f"{path}/server/raft"
        self.chance = random.SystemRandom()
        self.metrics = Metrics()
        self.faults = faults_asked_for()
        self.disk = disk_of(
            self.faults,
            sync=bool(config.data_dir),
            observe=lambda seconds: self.metrics.observe("yurt.fsync.seconds", seconds),
        )
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self.engine: Engine | None = None
        self.configuration: list[list[str]] | None = None
        self.joined = False

    async def run(self) -> int:
        """Listen, form or recover, serve, stop."""
        self._heed_signals()
        config = self.config
        sockets = [bind(host, config.ports.http) for host in config.bind("http")]
        transport = await self._listen()
        self.disk.make_directory(self.raft_path)
        self.configuration = stored_configuration(self.raft_path)
        if not await self._join(transport):
            await transport.close()
            return 0
        assert self.configuration is not None
        if recover_if_asked(self.disk, self.raft_path, self.configuration) is not None:
            log.warning("peers.json was carried out: this server has another configuration now")
        engine, machine = self._engine(transport)
        server = self._serve(engine, machine, transport)
        leader = Leader(server, random.Random(self.chance.random()))
        dispatcher, http = self._http(server, sockets)

        def authority_changed() -> None:
            transport.reconnect()
            if config.tls.verify_https_client:
                http.end_connections()

        reload_at_hangup(self.reread, self.tls, authority_changed)
        periodic = PeriodicLaunches(server)
        joining = Joining(server, self._hello(), self.config.join_addresses())
        engine.start(self.configuration)
        self._freeze()
        joining.start()
        server.start()
        http.start()
        node = None
        if config.client.enabled:
            node = agent_beside(server, dispatcher, self.path, random.Random(self.chance.random()))
            server.node_agent = node
            node.start()
        address = join_address(config.bind("http")[0], config.ports.http)
        log.info("agent started", extra={"http": address, "rpc": config.advertised("rpc"), "version": __version__})
        await self.stopping.wait()
        if node is not None:
            await node.stop()
        server.stop()
        joining.stop()
        await self._hand_over(server)
        await http.stop()
        server.close()
        leader.stop()
        periodic.stop()
        engine.stop()
        await transport.close()
        if self.failure is None:
            engine.runtime.run_disk(engine.storage.journal.finish, lambda _result, _error: None)
        await asyncio.get_running_loop().run_in_executor(None, engine.runtime.close)
        engine.storage.journal.close()
        if self.failure is not None:
            return 1
        log.info("agent stopped")
        return 0

    async def _listen(self) -> PeerTransport:
        """The connections of the other servers; raises `PortInUse`."""
        config = self.config
        transport = PeerTransport(
            self._hello,
            chance=random.Random(self.chance.random()),
            server_tls=self.tls.peers,
            client_tls=self.tls.to_peers,
            handshake_seconds=seconds(config.limits.rpc_handshake_timeout),
        )
        if config.tls.rpc and config.tls.verify_server_hostname:
            transport.name_wanted = f"server.{config.region}.nomad"
        for host in config.bind("rpc"):
            bind(host, config.ports.rpc).close()
            await transport.listen(host, config.ports.rpc)
        return transport

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopping.set)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    async def _hand_over(self, server: Server) -> None:
        """A leader that stops lets another one lead first, so that nobody waits for an election."""
        engine = server.engine
        if self.failure is not None or not engine.is_ready or len(engine.voters) < 2:
            return
        try:
            successor = await server.transfer(None)
            log.info("leadership handed over", extra={"to": successor})
        except YurtError as error:
            log.warning("leadership could not be handed over", extra={"reason": str(error)})
            return
        await server.leader_known(HAND_OVER_SECONDS)  # from now on requests are handed to the successor

    # --- pieces

    def _hello(self) -> Hello:
        config = self.config
        return Hello(
            cluster=cluster_id(self.configuration) if self.configuration else b"",
            region=config.region,
            name=config.node_name,
            server_id=self.server_id,
            address=config.advertised("rpc"),
            http_address=config.advertised("http"),
            software=__version__,
            command_version=COMMAND_VERSION,
            expect=config.server.bootstrap_expect,
            datacenter=config.datacenter,
            election_seconds=EngineConfig(multiplier=config.server.raft_multiplier).election,
            configuration=self.configuration,
        )

    async def _join(self, transport: PeerTransport) -> bool:
        """Know the cluster's first configuration; False if the agent is stopped before."""
        for address in self.config.join_addresses():
            if address != self.config.advertised("rpc"):
                transport.dial(address)
        if self.configuration is not None:
            return True
        own = self._hello()
        if own.expect == 1:
            decided = [[own.server_id, own.address, own.name]]
        else:
            forming = asyncio.ensure_future(form(own, transport))
            stopped = asyncio.ensure_future(self.stopping.wait())
            await asyncio.wait((forming, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not forming.done():
                forming.cancel()
                return False
            stopped.cancel()
            decided = forming.result()
        store_configuration(self.raft_path, decided)
        self.configuration = decided
        transport.reconnect()
        return True

    def _engine(self, transport: PeerTransport) -> tuple[Engine, Machine]:
        assert self.configuration is not None
        config, machine = self.config.server, Machine()
        journal = Journal(self.disk, f"{self.raft_path}/log", cluster_id(self.configuration))
        journal.open()
        snapshots = SnapshotStore(
            self.disk, f"{self.raft_path}/snapshots", cluster_id(self.configuration), apart=Forked()
        )
        snapshots.open()
        own = self._hello()
        engine = Engine(
            Peer(own.server_id, own.address, own.name),
            config=EngineConfig(
                multiplier=config.raft_multiplier,
                snapshot_entries=max(1, config.raft_snapshot_threshold),
                snapshot_interval=nanoseconds(config.raft_snapshot_interval) / 1e9,
                trailing_entries=max(0, config.raft_trailing_logs),
            ),
            machine=machine,
            storage=Storage(journal, HardStateFile(self.disk, self.raft_path), snapshots),
            runtime=AsyncioRuntime(),
            chance=random.Random(self.chance.random()),
            send=transport.send_raft,
            fatal=self._fatal,
        )
        self.engine = engine
        transport.on_raft = engine.receive
        transport.on_connected = engine.peer_connected
        transport.on_disconnected = engine.peer_disconnected
        return engine, machine

    def _serve(self, engine: Engine, machine: Machine, transport: PeerTransport) -> Server:
        metrics = self.metrics
        measure_engine(metrics, engine, transport)
        measure_state(metrics, machine)
        server = Server(self.config, machine, engine, transport, metrics)
        server.data_dir, server.tls_to_nodes = self.path, self.tls.to_nodes
        server.tracing = tracing(self.config)
        if self.faults is not None:
            server.wall_clock_ns = self.faults.now_ns
        server.event_file = EventFile(server.events, f"{self.path}/server", sync=bool(self.config.data_dir))
        engine.on_snapshot = server.save_events
        server.audit = audit_log(self.config.audit, self.path, metrics)
        keystore = Keystore(Path(self.path) / "server/keystore", sync=bool(self.config.data_dir))
        server.authority.keystore = keystore
        server.keyring, server.locks = Keyring(server, keystore), VariableLocks(server)
        return server

    def _http(self, server: Server, sockets: list[socket.socket]) -> tuple[Dispatcher, HttpServer]:
        limits = self.config.limits
        reads = Reads(
            waiters_max=limits.http_blocking_queries_max,
            waiters_max_per_client=limits.http_blocking_queries_max_per_client,
            jitter=random.Random(self.chance.random()).random,
        )
        server.metrics.gauge("yurt.http.blocking_queries", lambda: float(reads.waiting))
        dispatcher = Dispatcher(server, reads)
        serve_forwarded(server, dispatcher.answer)
        return dispatcher, HttpServer(
            App(server, dispatcher),
            sockets,
            limits=limits,
            tls=self.tls.http,
        )

    def _fatal(self, error: BaseException) -> None:
        """The engine cannot go on: end the process; everything acknowledged is on disk."""
        if self.failure is None:
            self.failure = error
            log.critical(
                "the server stops: everything acknowledged is kept; restart it when the cause is gone",
                exc_info=error,
                extra={"cause": str(error)},
            )
            if self.engine is not None:
                self.engine.stop()
            self.stopping.set()

    @staticmethod
    def _freeze() -> None:
        """What was loaded stays: full collections need not look at it again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_EVERY, 50, 1000)
