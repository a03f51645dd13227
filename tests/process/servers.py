"""Real servers as processes: started, asked, killed and started again by the tests that use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from yurt.server.testing.agent import START_SECONDS_MAX, wait_for
from yurt.server.testing.process import AgentProcess as ServerProcess
from yurt.server.testing.process import free_ports

__all__ = ["ServerProcess", "children", "cluster", "free_ports", "leader_of", "single", "small_job", "wait_for"]


@contextmanager
def single(directory: Path, kind: type[ServerProcess] = ServerProcess, **config: Any) -> Iterator[ServerProcess]:
    """One server with a durable data directory, ready."""
    http_port, rpc_port = free_ports(2)
    config.setdefault("server", {"enabled": True, "bootstrap_expect": 1})
    server = kind(directory, "one", http_port, rpc_port, **config)
    try:
        yield server.start().wait_ready()
    finally:
        server.end()


@contextmanager
def cluster(directory: Path, size: int = 3, **config: Any) -> Iterator[list[ServerProcess]]:
    """Servers that form one cluster, all ready."""
    ports = free_ports(2 * size)
    join = [f"127.0.0.1:{ports[2 * i + 1]}" for i in range(size)]
    block = {"enabled": True, "bootstrap_expect": size, "server_join": {"retry_join": join}, **config.pop("server", {})}
    servers = [
        ServerProcess(directory / f"s{i + 1}", f"s{i + 1}", ports[2 * i], ports[2 * i + 1], server=block, **config)
        for i in range(size)
    ]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        yield servers
    finally:
        for server in servers:
            server.end()


def leader_of(servers: list[ServerProcess]) -> ServerProcess:
    """The server that the others name as leader."""

    def find() -> ServerProcess | None:
        for server in servers:
            try:
                status, address = server.request("GET", "/v1/status/leader", timeout=10)
            except OSError:
                continue
            if status == 200:
                for one in servers:
                    if (
                        address == f"127.0.0.1:{one.rpc_port}"
                        and one.process is not None
                        and one.process.poll() is None
                    ):
                        return one
        return None

    found: ServerProcess = wait_for(find, START_SECONDS_MAX, "a leader")
    return found


def small_job(job_id: str, **fields: Any) -> dict[str, Any]:
    """A batch-like job that needs no node: a service of count 0."""
    task = {"Name": "task", "Driver": "mock_driver", "Config": {"run_for": "1h"}}
    return {"Job": {"ID": job_id, "TaskGroups": [{"Name": "group", "Count": 0, "Tasks": [task]}], **fields}}


def children(process: int) -> list[int]:
    """The child processes of a process, of whichever thread."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):
            found += [int(one) for one in (task / "children").read_text().split()]
    return found
