"""The agent: configuration in, a running server out; stopped by SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from yurt import __version__
from yurt.fsm.commands import COMMAND_VERSION
from yurt.server.assembly import Ground, Parts, assemble_engine, assemble_server, hand_over
from yurt.server.client.start import agent_beside, run_alone
from yurt.server.cluster.engine_choice import LIBRARY, check_directory, library_engine
from yurt.server.cluster.join import Joining
from yurt.server.cluster.peer_methods import PEER_METHODS
from yurt.server.cluster.secret import SecretDemand, reloaded_keys, trust_of
from yurt.server.config.agent import AgentConfig, nanoseconds, seconds
from yurt.server.config.secrets import insecure_rpc
from yurt.server.http.asgi.app import App
from yurt.server.http.asgi.serve import HttpServer, bind
from yurt.server.keyring.making import make_key_apart
from yurt.server.platform.address import join_address
from yurt.server.platform.cycle_collector import CycleCollector
from yurt.server.platform.faults import disk_of, faults_asked_for
from yurt.server.platform.memory import return_large_blocks
from yurt.server.platform.supervision import supervisor_of
from yurt.server.raft.consensus import Consensus
from yurt.server.raft.core.configuration import cluster_id
from yurt.server.raft.core.state import EngineConfig
from yurt.server.raft.peer import Peer
from yurt.server.raft.runtime import AsyncioRuntime
from yurt.server.raft.storage.apart import Forked
from yurt.server.raft.storage.data_dir import DataDirectory
from yurt.server.raft.storage.recover import recover_if_asked
from yurt.server.raft.transport.forming import form, store_configuration, stored_configuration
from yurt.server.raft.transport.handshake import Hello
from yurt.server.raft.transport.transport import PeerTransport, bounds_for
from yurt.server.reload import Reread, reload_at_hangup
from yurt.server.server import Server
from yurt.server.telemetry.logs import start_logging
from yurt.server.telemetry.metrics import Metrics
from yurt.server.telemetry.rotating_file import RotatingFile
from yurt.server.tls.files import TlsFiles

log = logging.getLogger("agent")

SWITCH_SECONDS = 0.0005  # the disk thread gets the interpreter back soon after a sync (docs/decisions/0004)
CLOSE_SECONDS = 5.0


def run(config: AgentConfig, reread: Reread) -> int:
    """Run until a signal; the exit code: 0 after a clean stop, 1 if the engine had to end the process.

    `reread` gives the configuration anew at each SIGHUP.
    """
    start_logging(config.log_level, json=config.log_json, file=_log_file(config))
    sys.setswitchinterval(SWITCH_SECONDS)
    return_large_blocks()
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


async def _in_time(close: Callable[[], None]) -> None:
    """Close what may wait for others: the log is closed already, nobody waits for this server any more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await asyncio.to_thread(close)


class _Agent:
    """Everything of one server process."""

    def __init__(self, config: AgentConfig, path: str, server_id: str, reread: Reread) -> None:
        self.config, self.path, self.server_id, self.reread = config, path, server_id, reread
        self.tls = TlsFiles(config.tls)
        self.raft_path = f"{path}/server/raft"
        self.chance = random.SystemRandom()
        self.metrics = Metrics()
        self.collector = CycleCollector(self.metrics)
        self.supervisor = supervisor_of(self.metrics)
        self.faults = faults_asked_for()
        self.disk = disk_of(
            self.faults,
            sync=bool(config.data_dir),
            observe=lambda seconds: self.metrics.observe("yurt.fsync.seconds", seconds),
        )
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self.engine: Consensus | None = None
        self.configuration: list[list[str]] | None = None
        self.joined = False

    async def run(self) -> int:
        """Listen, form or recover, serve, stop."""
        self._heed_signals()
        config = self.config
        sockets = [bind(host, config.ports.http) for host in config.bind("http")]
        self.disk.make_directory(self.raft_path)
        check_directory(self.raft_path, config.server.raft_engine)
        self.configuration = stored_configuration(self.raft_path)
        transport = self._listen()
        if not await self._join(transport):
            await transport.close()
            return 0
        assert self.configuration is not None
        if config.server.raft_engine != LIBRARY and self._recovered(self.configuration):
            log.warning("recovery: Raft configuration replaced from peers.json")
        with self.collector.loading():
            parts = self._assemble(transport, self.configuration)
        server, engine = parts.server, parts.server.engine
        app = App(server, parts.dispatcher)
        http = HttpServer(app, sockets, limits=config.limits, tls=self.tls.http, supervisor=self.supervisor)

        self._reload_at_hangup(server, http)
        joining, demand = Joining(server, self._hello(), self.config.join_addresses()), SecretDemand(server)
        with self.collector.loading():
            engine.start(self.configuration)
        self.collector.start(asyncio.get_running_loop().call_soon_threadsafe)
        joining.start()
        demand.start()
        server.start()
        http.start()
        node = None
        if config.client.enabled:
            node = agent_beside(server, parts.dispatcher, self.path, random.Random(self.chance.random()))
            server.node_agent = node
            node.start()
        address = join_address(config.bind("http")[0], config.ports.http)
        log.info("agent started", extra={"http": address, "rpc": config.advertised("rpc"), "version": __version__})
        if warning := insecure_rpc(config):
            log.warning("rpc port is open to everybody", extra={"reason": warning})
        await self.stopping.wait()
        self.collector.stop()
        if node is not None:
            await node.stop()
        server.stop()
        joining.stop()
        demand.stop()
        if self.failure is None:
            await hand_over(server)
        await http.stop()
        return await self._close(parts, transport)

    async def _close(self, parts: Parts, transport: PeerTransport) -> int:
        """End duties, engine and threads; the exit code."""
        engine = parts.server.engine
        parts.leader.stop()
        parts.periodic.stop()
        engine.stop()
        await transport.close()
        await engine.close(clean=self.failure is None)
        await _in_time(parts.server.close)
        if self.failure is not None:
            return 1
        log.info("agent stopped")
        return 0

    def _listen(self) -> PeerTransport:
        """The connections of the other servers; raises `PortInUse`."""
        config = self.config
        transport = PeerTransport(
            self._hello,
            chance=random.Random(self.chance.random()),
            server_tls=self.tls.peers,
            client_tls=self.tls.to_peers,
            methods=PEER_METHODS,
            trust=trust_of(config, self._secret_path, is_new=self.configuration is None),
            bounds=bounds_for(
                files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                per_address=config.limits.rpc_max_conns_per_client,
                total=config.limits.rpc_max_conns,
                handshake_seconds=seconds(config.limits.rpc_handshake_timeout),
            ),
            supervisor=self.supervisor,
        )
        if config.tls.rpc and config.tls.verify_server_hostname:
            transport.name_wanted = f"server.{config.region}.nomad"
        for host in config.bind("rpc"):
            transport.listen(bind(host, config.ports.rpc))
        return transport

    @property
    def _secret_path(self) -> Path:
        return Path(self.path) / "server"

    def _reload_at_hangup(self, server: Server, http: HttpServer) -> None:
        transport = server.transport

        def authority_changed() -> None:
            transport.reconnect()
            if self.config.tls.verify_https_client:
                http.end_connections()

        def take_secrets(config: AgentConfig) -> None:
            keys = reloaded_keys(config, self._secret_path, transport.trust)
            if tuple(keys) != transport.trust.keys:
                transport.trust.replace(keys)
                transport.trust_again()
                log.info("cluster secrets read again", extra={"secrets": len(keys)})

        reload_at_hangup(self.reread, self.tls, authority_changed, server.keyring.reload, take_secrets)

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopping.set)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    # --- pieces

    def _recovered(self, configuration: list[list[str]]) -> bool:
        return recover_if_asked(self.disk, self.raft_path, configuration) is not None

    def _assemble(self, transport: PeerTransport, configuration: list[list[str]]) -> Parts:
        ground, own = self._ground(), self._hello()
        peer = Peer(own.server_id, own.address, own.name)
        if self.config.server.raft_engine == LIBRARY:
            self.engine = library_engine(
                peer, self.config, configuration, transport, self.raft_path, self._fatal, ground.loading
            )
        else:
            self.engine = assemble_engine(peer, self.config, configuration, transport, ground, self._fatal)
        parts = assemble_server(self.config, self.engine, transport, self.metrics, ground)
        parts.server.tls_to_nodes = self.tls.to_nodes
        return parts

    def _ground(self) -> Ground:
        wall_clock_ns = time.time_ns if self.faults is None else self.faults.now_ns
        return Ground(
            self.disk,
            self.path,
            AsyncioRuntime(self._fatal),
            self.chance,
            apart=Forked(),
            wall_clock_ns=wall_clock_ns,
            supervisor=self.supervisor,
            make_key=make_key_apart,
            loading=self.collector.loading,
        )

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
