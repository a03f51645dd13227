"""Which engine a server's state is replicated by: the core, or a library as it ships."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from yurt.fsm.machine import Machine
from yurt.server.config.agent import AgentConfig, nanoseconds
from yurt.server.config.load import check_library, library_addresses
from yurt.server.platform.address import PORT_MAX
from yurt.server.platform.atomic_file import write_whole
from yurt.server.raft.consensus import Consensus
from yurt.server.raft.core.configuration import cluster_id
from yurt.server.raft.errors import Corrupt, DirectoryRefused
from yurt.server.raft.peer import Peer, Servers, address_in
from yurt.server.raft.transport.transport import PeerTransport

LIBRARY = "pysyncobj"
ASK_SECONDS = 2.0


def check_directory(raft_path: str, engine: str) -> None:
    """Raise `DirectoryRefused` for a data directory that another engine has written."""
    log, library = Path(raft_path) / "log", Path(raft_path) / LIBRARY
    other = ("core" if log.is_dir() and any(log.iterdir()) else "") if engine == LIBRARY else ""
    if engine != LIBRARY and library.exists():
        other = LIBRARY
    if other:
        raise DirectoryRefused(
            f"the data directory was written by the engine {other}, and this server is to run on {engine}: set "
            f'server {{ raft_engine = "{other}" }}, or give it an empty directory. Nothing was changed'
        )


def library_engine(
    own: Peer,
    config: AgentConfig,
    configuration: Servers,
    transport: PeerTransport,
    raft_path: str,
    fatal: Callable[[BaseException], None],
    loading: Callable[[], AbstractContextManager[None]],
) -> Consensus:
    """Return pysyncobj as this server's engine; it asks the others over `transport` where theirs listens.

    `loading` is entered while a state is loaded. Raises `ConfigError`, `Corrupt`, OSError.
    """
    from yurt.server.raft.engines.pysyncobj.engine import METHOD, PySyncObj
    from yurt.server.raft.engines.pysyncobj.replica import Settings

    directory = Path(raft_path) / LIBRARY
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    given = config.server.pysyncobj
    port = 0 if given.address else kept_port(directory / "port", config.bind("rpc")[0])
    listen, address = addresses = library_addresses(config, port)
    check_library(config, addresses)
    settings = Settings(
        directory=directory,
        listen=listen,
        address=address,
        password=given.password,
        multiplier=config.server.raft_multiplier,
        dump_entries=config.server.raft_snapshot_threshold,
        dump_seconds=nanoseconds(config.server.raft_snapshot_interval) / 1e9,
    )

    async def ask(server_id: str) -> bytes:
        return await transport.call(server_id, METHOD, b"", timeout=ASK_SECONDS)

    engine = PySyncObj(
        own, settings=settings, cluster=cluster_id(configuration), machine=Machine(), ask=ask, fatal=fatal,
        loading=loading,
    )  # fmt: skip
    transport.serve(METHOD, engine.known)
    transport.members_of = lambda: [server[0] for server in engine.configuration]
    transport.address_of = lambda server_id: address_in(engine.configuration, server_id)
    return engine


def kept_port(file: Path, host: str) -> int:
    """Return a free port of the host at the first start, and the same from then on: the others remember it."""
    if not file.exists():
        with socket.socket(socket.AF_INET) as probe:
            probe.bind((host, 0))
            write_whole(file, str(probe.getsockname()[1]).encode())
    text = file.read_bytes()
    if not (text.isdigit() and len(text) <= len(str(PORT_MAX)) and 0 < int(text) <= PORT_MAX):
        raise Corrupt(f"{file} holds no port: write the one that the other servers dial into it, or set an address")
    return int(text)
